-- The rights of the audit database's roles. Applied after the migrations each time; safe to repeat.

revoke all on all tables in schema audit from audit, audit_reader;
grant usage on schema audit to audit, audit_reader;
grant select on
  audit.transition, audit.integrity_alarm, audit.mac_key, audit.unindexed, audit.log_entry, audit.checkpoint,
  audit.transition_detail, audit.transition_states, audit.case_timeline, audit.case_summary
to audit, audit_reader;
-- Column by column: the database sets recorded_at.
grant insert (
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition, type_version,
  seq, ordinal, siblings, parents, transcript_hash, playbook_version, bundle, prompt_version, model_id, latency_ms,
  rubric_score, access, time_limit_ms, case_deadline, terminal, outcome, catalogued, event_ts, source, bus_id, bus_ts, body,
  mac, mac_key
) on audit.transition to audit;
grant insert (key_id, not_before, not_after, wrapped) on audit.mac_key to audit;
grant insert (kind, event_id, case_id, reason, field, body, body_sha256) on audit.integrity_alarm to audit;
grant insert (log, number, first_index, last_index, body, signature) on audit.checkpoint to audit;
grant execute on function
  audit.ensure_partitions(integer),
  audit.index_rows(date[], uuid[], text[], timestamptz[], bytea[], bytea[], uuid[]), audit.refuse_rows(date[], uuid[])
to audit;

-- What dashboards read: derived, so it may be replaced.
grant select, insert, delete on audit.case_figures, audit.step_figures to audit;
grant select, update on audit.figures_cursor to audit;
grant select on audit.case_figures, audit.step_figures, audit.figures_cursor to audit_reader;
grant execute on function audit.refresh_figures(integer) to audit;

-- The API: cases that users asked, by a view, and how far the log is.
revoke all on all tables in schema audit from audit_api;
grant usage on schema audit to audit_api;
grant select on audit.caller_event to audit_api;
grant select (log_index) on audit.log_entry to audit_api;

revoke all on all tables in schema audit from audit_retention;
grant usage on schema audit to audit_retention;
grant select on
  audit.retention_policy, audit.legal_hold, audit.legal_hold_release, audit.active_hold, audit.retention_receipt,
  audit.retired_event, audit.artefact_removal, audit.partition_drop
to audit, audit_reader, audit_retention;
grant select on audit.transition, audit.integrity_alarm to audit_retention;
grant insert (playbook, keep_for, duty_for, duty_counts_from, citation, set_by) on audit.retention_policy to audit_retention;
grant insert (case_id, reason, placed_by) on audit.legal_hold to audit_retention;
grant insert (hold_id, reason, released_by) on audit.legal_hold_release to audit_retention;
grant insert (opened_on, case_id, part, statement, key, signature) on audit.retention_receipt to audit_retention;
grant insert (opened_on, case_id, part) on audit.artefact_removal to audit_retention;
grant update (body) on audit.transition to audit_retention;
grant execute on function audit.case_retention(date, uuid) to audit_reader, audit_retention;
grant execute on function audit.one_at_a_time(), audit.drop_partition(text) to audit_retention;

grant select on audit.erasure_receipt to audit, audit_reader, audit_retention;
grant insert (receipt_id, subject, statement, key, signature) on audit.erasure_receipt to audit_retention;

grant select on
  audit.model_usage, audit.failovers, audit.tokens_by_agent_and_session, audit.latency_by_agent,
  audit.goal_success, audit.outcome_class, audit.credential_access
to audit, audit_reader;
