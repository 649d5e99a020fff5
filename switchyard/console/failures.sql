-- name: failed_cases
select
  t.opened_on, t.case_id::text, t.event_id::text, clamped(t.event_ts) as failed_at, t.tenant, t.node_from as node,
  split_part(t.playbook_version, '/', 1) as playbook,
  coalesce(t.prompt_version, '') as prompt, p.payload ->> 'code' as code, p.payload ->> 'message' as message, p.payload ->> 'remedy' as remedy,
  p.payload ->> 'attempts' as attempts, p.payload ->> 'task_type' as task_type
from transition t
cross join lateral (select audit.json_of(t.body) #> '{detail,payload}' as payload offset 0) p
join lateral (
  select
    count(*) filter (where e.terminal) > count(*) filter (where e.transition = 'TaskRetried') as closed,
    (array_agg(e.outcome order by e.seq desc, e.event_ts desc, e.recorded_at desc) filter (where e.terminal))[1] as outcome,
    max(e.seq) filter (where e.transition = 'TaskFailed') as latest
  from transition e
  where e.opened_on = t.opened_on and e.case_id = t.case_id and (e.terminal or e.transition in ('TaskRetried', 'TaskFailed'))
) c on c.closed and c.outcome = 'failed' and c.latest = t.seq
where t.transition = 'TaskFailed' and t.opened_on between $1 and $2
  and ($3::text[] is null or t.tenant = any($3))
  and ($4::text is null or t.node_from = $4)
  and ($5::text is null or p.payload ->> 'code' = $5)
  and ($6::text is null or coalesce(t.prompt_version, '') = $6)
order by t.event_ts desc
limit $7

-- name: quarantined
select alarm_id, kind, event_id::text, case_id::text, reason, field, clamped(recorded_at) as recorded_at,
  octet_length(body) as size
from integrity_alarm order by alarm_id desc limit 51

-- name: refused
select alarm_id, kind, case_id::text, reason, field, clamped(recorded_at) as recorded_at, octet_length(body) as size,
  case when $2 then body end as body, encode(body_sha256, 'hex') as sha256
from integrity_alarm where alarm_id = $1
