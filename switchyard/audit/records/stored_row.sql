-- name: stored
select
  opened_on, event_id::text, case_id::text, tenant, session_id, principal_sub, subject::text, node_from, node_to,
  transition, type_version, seq, ordinal, siblings, parents, transcript_hash, playbook_version, code_version,
  prompt_version, model_id, latency_ms, rubric_score, time_limit_ms, case_deadline, terminal, outcome, catalogued,
  event_ts, source, bus_id, bus_ts, body, recorded_at,
  exists (select from retention_receipt r where r.case_id = t.case_id) as receipted
from transition t
where ($1::uuid is null or t.case_id = $1) and ($2::date is null or t.opened_on = $2)
order by t.case_id, t.seq, t.ordinal, t.event_id
