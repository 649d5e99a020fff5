-- name: bodies
select body from transition where case_id = $1 and body is not null order by seq, ordinal, recorded_at, event_id

-- name: pick_cases
select clamped(f.opened_on) as opened_on, f.case_id
from transition f
left join lateral (
  -- As in case_summary: closed with more endings than retries; the latest ending has the outcome.
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
  opened_on, case_id::text, tenant, session_id, playbook_version, route, agents, model_ids, hops, opened_at, closed_at,
  duration_ms, status, outcome, code
from case_summary
where opened_on = any($1::date[]) and case_id = any($2::uuid[])
order by opened_on desc, opened_at desc nulls last, case_id

-- name: days_of
select distinct clamped(opened_on) as opened_on, case_id from transition where case_id = $1

-- name: timeline
select
  step, seq, ordinal, event_id::text, event_ts, recorded_at, node_from, node_to, transition, model_id, latency_ms,
  rubric_score, since_opened_ms, terminal, outcome, transcript_hash
from case_timeline
where case_id = $1
order by opened_on, step

-- name: accesses
select event_ts, recorded_at, case_id::text, agent, audience, scopes, grant_id, jti, event_id::text, transition
from credential_access
where subject = $1 and ($2::timestamptz is null or recorded_at >= $2) and ($3::text is null or agent = $3)
order by recorded_at desc, event_id, jti
limit $4

-- name: alarms
select kind, event_id::text, case_id::text, reason, field, body, clamped(recorded_at) as recorded_at
from integrity_alarm
where $1::uuid is null or case_id = $1
order by alarm_id desc
limit $2

-- name: cases_known
select distinct case_id::text from transition where case_id = any($1::uuid[]) and parents = '{}'

-- name: cases_like
(
  select distinct case_id from transition
  where case_id between $2 and $3 and starts_with(case_id::text, $1) and parents = '{}'
  order by case_id limit 3
)
union
-- If the month of a case was dropped, its receipts still prove the case.
(
  select distinct case_id from retention_receipt
  where case_id between $2 and $3 and starts_with(case_id::text, $1)
  order by case_id limit 3
)
limit 3

-- name: cases_since
-- The cases with rows after a verified prefix, by log index, in the queue, or by time; those whose deadline has passed
-- since; those that got a receipt since.
select t.case_id
from log_entry e
join transition t on t.opened_on = e.opened_on and t.event_id = e.event_id
where e.log_index > $1
union
select t.case_id
from unindexed u
join transition t on t.opened_on = u.opened_on and t.event_id = u.event_id
union
select case_id from transition where recorded_at > $2
union
select case_id from transition where parents = '{}' and case_deadline > $3 and case_deadline <= $4
union
select case_id from retention_receipt where recorded_at >= $3
order by case_id

-- name: last_index
select coalesce(max(log_index), 0) from log_entry
