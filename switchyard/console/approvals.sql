-- name: verdicts
select d.transition, d.node_from, d.event_ts, d.payload ->> 'pack' as pack, (d.payload -> 'results')::text as results
from transition_detail d
where d.case_id = $1 and d.payload ->> 'content_sha256' = $2 and jsonb_typeof(d.payload -> 'results') = 'array'
order by d.seq desc limit 1

-- name: history
select f.case_id::text, clamped(f.event_ts) as opened_at, split_part(f.playbook_version, '/', 1) as playbook, s.status,
  coalesce(s.outcome, s.status) as outcome
from (
  select * from transition f
  where f.subject = $1 and f.tenant = $2 and f.parents = '{}' and f.case_id <> $3
  order by f.opened_on desc, f.event_ts desc limit 15
) f
-- One case after another: the view would summarise the whole log.
cross join lateral (
  select status, outcome from case_summary c where c.opened_on = f.opened_on and c.case_id = f.case_id offset 0
) s
order by f.opened_on desc, f.event_ts desc
