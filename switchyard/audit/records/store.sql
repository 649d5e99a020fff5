-- name: record
insert into transition (
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition, type_version,
  seq, ordinal, siblings, parents, transcript_hash, playbook_version, bundle, prompt_version, model_id, latency_ms,
  rubric_score, access, time_limit_ms, case_deadline, terminal, outcome, catalogued, event_ts, source, bus_id, bus_ts, body,
  mac, mac_key
)
select
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition, type_version,
  seq, ordinal, siblings, string_to_array(parents, ','), transcript_hash, playbook_version, bundle, prompt_version,
  model_id, latency_ms, rubric_score, access, time_limit_ms, case_deadline, terminal, outcome, catalogued, event_ts, source,
  bus_id, bus_ts, body, mac, mac_key
from unnest(
  $1::date[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[],
  $10::text[], $11::integer[], $12::bigint[], $13::bigint[], $14::integer[], $15::text[], $16::text[], $17::text[],
  $18::text[], $19::text[], $20::text[], $21::bigint[], $22::integer[], $23::text[], $24::bigint[],
  $25::timestamptz[], $26::boolean[], $27::text[], $28::boolean[], $29::timestamptz[], $30::text[], $31::text[],
  $32::timestamptz[], $33::text[], $34::bytea[], $35::uuid[]
) as t (
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition, type_version,
  seq, ordinal, siblings, parents, transcript_hash, playbook_version, bundle, prompt_version, model_id, latency_ms,
  rubric_score, access, time_limit_ms, case_deadline, terminal, outcome, catalogued, event_ts, source, bus_id, bus_ts, body,
  mac, mac_key
)
on conflict (opened_on, event_id) do nothing
returning opened_on, event_id::text, tableoid = 'transition_default'::regclass as unplanned

-- name: digests_of
select t.opened_on, t.event_id::text, t.transcript_hash
from transition t
join unnest($1::date[], $2::uuid[]) as k (opened_on, event_id) using (opened_on, event_id)

-- name: keep_alarms
insert into integrity_alarm (kind, event_id, case_id, reason, field, body, body_sha256)
select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bytea[])
on conflict (kind, body_sha256) do nothing
returning kind, body_sha256

-- name: ensure_partitions
select partition_name, state from ensure_partitions($1)
