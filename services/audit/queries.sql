-- name: record
insert into transition (
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition, type_version,
  seq, ordinal, siblings, parents, transcript_hash, graph_version, code_version, prompt_version, model_id, latency_ms,
  rubric_score, time_limit_ms, case_deadline, terminal, outcome, catalogued, event_ts, source, bus_id, bus_ts, body
)
select
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition, type_version,
  seq, ordinal, siblings, string_to_array(parents, ','), transcript_hash, graph_version, code_version, prompt_version,
  model_id, latency_ms, rubric_score, time_limit_ms, case_deadline, terminal, outcome, catalogued, event_ts, source,
  bus_id, bus_ts, body
from unnest(
  $1::date[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[],
  $10::text[], $11::integer[], $12::bigint[], $13::bigint[], $14::integer[], $15::text[], $16::text[], $17::text[],
  $18::text[], $19::text[], $20::text[], $21::bigint[], $22::integer[], $23::bigint[], $24::timestamptz[],
  $25::boolean[], $26::text[], $27::boolean[], $28::timestamptz[], $29::text[], $30::text[], $31::timestamptz[],
  $32::text[]
) as t (
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition, type_version,
  seq, ordinal, siblings, parents, transcript_hash, graph_version, code_version, prompt_version, model_id, latency_ms,
  rubric_score, time_limit_ms, case_deadline, terminal, outcome, catalogued, event_ts, source, bus_id, bus_ts, body
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

-- name: stored
select
  opened_on, event_id::text, case_id::text, tenant, session_id, principal_sub, subject::text, node_from, node_to,
  transition, type_version, seq, ordinal, siblings, parents, transcript_hash, graph_version, code_version,
  prompt_version, model_id, latency_ms, rubric_score, time_limit_ms, case_deadline, terminal, outcome, catalogued,
  event_ts, source, bus_id, bus_ts, body, recorded_at,
  exists (select from retention_receipt r where r.case_id = t.case_id) as receipted
from transition t
where ($1::uuid is null or t.case_id = $1) and ($2::date is null or t.opened_on = $2)
order by t.case_id, t.seq, t.ordinal, t.event_id

-- name: bodies
select body from transition where case_id = $1 and body is not null order by seq, ordinal, recorded_at, event_id

-- name: pick_cases
select f.opened_on, f.case_id
from transition f
left join lateral (
  -- As in case_summary: closed while it has more endings than retries, and the latest ending says how.
  select
    count(*) filter (where t.terminal) > count(*) filter (where t.transition = 'TaskRetried') as closed,
    (array_agg(t.outcome order by t.seq desc, t.event_ts desc, t.recorded_at desc) filter (where t.terminal))[1] as outcome
  from transition t
  where t.opened_on = f.opened_on and t.case_id = f.case_id and (t.terminal or t.transition = 'TaskRetried')
) e on true
where f.parents = '{}'
  and ($1::text is null or f.tenant = $1)
  and ($2::text is null or f.session_id = $2)
  and ($3::date is null or f.opened_on = $3)
  and ($4::text is null or (e.closed and e.outcome = $4))
  and ($5::text is null or $5 = case
    when e.closed then 'closed' when f.case_deadline < clock_timestamp() then 'unended' else 'open' end)
order by f.opened_on desc, f.event_ts desc
limit $6

-- name: summaries
select
  opened_on, case_id::text, tenant, session_id, graph_version, route, agent, model_ids, hops, opened_at, closed_at,
  duration_ms, status, outcome, code
from case_summary
where opened_on = any($1::date[]) and case_id = any($2::uuid[])
order by opened_on desc, opened_at desc nulls last, case_id

-- name: days_of
select distinct opened_on from transition where case_id = $1

-- name: timeline
select
  step, seq, ordinal, event_id::text, event_ts, recorded_at, node_from, node_to, transition, model_id, latency_ms,
  rubric_score, since_opened_ms, terminal, outcome, transcript_hash
from case_timeline
where case_id = $1
order by opened_on, step

-- name: alarms
select kind, event_id::text, case_id::text, reason, field, body, recorded_at
from integrity_alarm
where $1::uuid is null or case_id = $1
order by alarm_id desc
limit $2

-- name: count_transitions
select
  count(*) as transitions,
  count(distinct event_id) as events,
  count(distinct case_id) as cases,
  count(*) filter (where tableoid = 'transition_default'::regclass) as unplanned
from transition

-- name: count_outcomes
select coalesce(outcome, 'unnamed') as name, count(*) as count from transition where terminal group by 1 order by 1

-- name: count_alarms
select kind as name, count(*) as count from integrity_alarm group by 1 order by 1

-- name: grant
revoke all on all tables in schema audit from audit, audit_reader;
grant usage on schema audit to audit, audit_reader;
grant select on
  audit.transition, audit.integrity_alarm, audit.unplaced, audit.position, audit.anchor,
  audit.transition_detail, audit.transition_states, audit.case_timeline, audit.case_summary
to audit, audit_reader;
-- Column by column: recorded_at is the database's to say.
grant insert (
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition, type_version,
  seq, ordinal, siblings, parents, transcript_hash, graph_version, code_version, prompt_version, model_id, latency_ms,
  rubric_score, time_limit_ms, case_deadline, terminal, outcome, catalogued, event_ts, source, bus_id, bus_ts, body
) on audit.transition to audit;
grant insert (kind, event_id, case_id, reason, field, body, body_sha256) on audit.integrity_alarm to audit;
grant insert (log, number, first_position, last_position, statement, signature) on audit.anchor to audit;
grant execute on function audit.ensure_partitions(integer), audit.place_rows(integer) to audit;

-- name: cases_like
select case_id from audit.transition where starts_with(case_id::text, $1) and parents = '{}'
union
-- The month of a case may have been dropped: its receipts still prove it.
select case_id from audit.retention_receipt where starts_with(case_id::text, $1)
limit 3
