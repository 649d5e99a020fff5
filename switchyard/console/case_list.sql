-- name: page
select clamped(f.opened_on) as opened_on, f.case_id, clamped(f.event_ts) as opened_at
from transition f
left join lateral (
  -- As in case_summary: closed with more endings than retries; the latest ending has the outcome.
  select
    count(*) filter (where t.terminal) > count(*) filter (where t.transition = 'TaskRetried') as closed,
    (array_agg(t.outcome order by t.seq desc, t.event_ts desc, t.recorded_at desc) filter (where t.terminal))[1] as outcome
  from transition t
  where t.opened_on = f.opened_on and t.case_id = f.case_id and (t.terminal or t.transition = 'TaskRetried')
) e on true
where f.parents = '{}' and f.opened_on between $1 and $2
  -- A chain without a playbook and without an outcome is no case: a switch that was thrown, a suppressed address.
  and (f.playbook_version <> 'none/0' or f.outcome is not null)
  and ($3::uuid is null or f.case_id between $3 and $4::uuid)
  and ($5::text is null or f.session_id = $5)
  and ($6::text is null or f.tenant = $6)
  and ($14::text[] is null or f.tenant = any($14))
  and ($7::text is null or f.principal_sub = $7 or f.subject = $8::uuid)
  and ($9::text is null or split_part(f.playbook_version, '/', 1) = $9)
  -- offset 0: one case after another, with an index; never all cases of these days at once.
  and ($10::text is null or exists (
    select from transition a
    where a.opened_on = f.opened_on and a.case_id = f.case_id and a.node_to = $10 and a.time_limit_ms is not null
    offset 0))
  and ($11::text is null or exists (
    select from transition a where a.opened_on = f.opened_on and a.case_id = f.case_id and a.transition = $11))
  and ($12::text is null or exists (
    select from transition a where a.opened_on = f.opened_on and a.case_id = f.case_id and a.model_id = $12 offset 0))
  and ($13::text is null or exists (
    select from transition a
    where a.opened_on = f.opened_on and a.case_id = f.case_id and a.terminal
      and audit.json_of(a.body) #>> '{detail,payload,code}' = $13
    offset 0))
  and ($15::text is null or $15 = case
    when e.closed then e.outcome when f.case_deadline < clock_timestamp() then 'unended' else 'open' end)
  and ($16::date is null or (f.opened_on, f.event_ts, f.case_id) < ($16, $17::timestamptz, $18::uuid))
order by f.opened_on desc, f.event_ts desc, f.case_id desc
limit $19

-- name: counts
select outcome, count(*) as cases
from (
  select case
      when e.closed then e.outcome when f.case_deadline < clock_timestamp() then 'unended' else 'open' end as outcome
  from (
    select * from transition f
    where f.parents = '{}' and f.opened_on between $1 and $2
      and (f.playbook_version <> 'none/0' or f.outcome is not null)
      and ($3::uuid is null or f.case_id between $3 and $4::uuid)
      and ($5::text is null or f.session_id = $5)
      and ($6::text is null or f.tenant = $6)
      and ($14::text[] is null or f.tenant = any($14))
      and ($7::text is null or f.principal_sub = $7 or f.subject = $8::uuid)
      and ($9::text is null or split_part(f.playbook_version, '/', 1) = $9)
      and ($10::text is null or exists (
        select from transition a
        where a.opened_on = f.opened_on and a.case_id = f.case_id and a.node_to = $10 and a.time_limit_ms is not null
        offset 0))
      and ($11::text is null or exists (
        select from transition a where a.opened_on = f.opened_on and a.case_id = f.case_id and a.transition = $11))
      and ($12::text is null or exists (
        select from transition a where a.opened_on = f.opened_on and a.case_id = f.case_id and a.model_id = $12 offset 0))
      and ($13::text is null or exists (
        select from transition a
        where a.opened_on = f.opened_on and a.case_id = f.case_id and a.terminal
          and audit.json_of(a.body) #>> '{detail,payload,code}' = $13
        offset 0))
    order by f.opened_on desc, f.event_ts desc
    limit $15
  ) f
  left join lateral (
    select
      count(*) filter (where t.terminal) > count(*) filter (where t.transition = 'TaskRetried') as closed,
      (array_agg(t.outcome order by t.seq desc, t.event_ts desc, t.recorded_at desc) filter (where t.terminal))[1] as outcome
    from transition t
    where t.opened_on = f.opened_on and t.case_id = f.case_id and (t.terminal or t.transition = 'TaskRetried')
  ) e on true
) c
group by 1
order by 2 desc, 1

-- name: summaries
select
  opened_on, case_id::text, tenant, session_id, playbook_version, agents, model_ids, hops, opened_at, closed_at,
  duration_ms, status, coalesce(outcome, status) as outcome, code
from case_summary
where opened_on = any($1::date[]) and case_id = any($2::uuid[])
