-- name: stored
select
  clamped(opened_on), event_id::text, case_id::text, tenant, session_id, principal_sub, subject::text, node_from, node_to,
  transition, type_version, seq, ordinal, siblings, parents, transcript_hash, playbook_version, bundle,
  prompt_version, model_id, latency_ms, rubric_score, access, time_limit_ms, clamped(case_deadline), terminal, outcome,
  catalogued, clamped(event_ts), source, bus_id, clamped(bus_ts), body, clamped(recorded_at), mac, mac_key::text,
  exists (select from retention_receipt r where r.case_id = t.case_id) as receipted
from transition t
where ($1::uuid is null or t.case_id = $1) and ($2::date is null or t.opened_on = $2)
  and ($3::uuid[] is null or t.case_id = any($3))
  and ($4::uuid is null or t.case_id >= $4) and ($5::uuid is null or t.case_id < $5)
order by t.case_id, t.seq, t.ordinal, t.event_id
