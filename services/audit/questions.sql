-- name: grant
grant select on
  audit.model_usage, audit.failovers, audit.gate_decisions, audit.tokens_by_agent_and_session, audit.latency_by_agent,
  audit.goal_success
to audit, audit_reader;
