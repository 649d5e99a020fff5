-- name: newest
select coalesce(max(log_index), 0) from log_entry

-- name: after
select
  e.log_index, t.case_id::text, t.event_id::text, t.tenant, t.node_from, t.node_to, t.transition, t.outcome,
  clamped(t.event_ts) as event_ts
from log_entry e join transition t on t.opened_on = e.opened_on and t.event_id = e.event_id
where e.log_index > $1
order by e.log_index
limit $2
