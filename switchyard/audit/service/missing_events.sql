-- name: last_index
select coalesce(max(log_index), 0) from log_entry

-- name: ripe
select coalesce(max(log_index), $1) from log_entry where log_index > $1 and log_index <= $1 + $3 and recorded_at <= $2

-- name: orphans
select t.case_id::text, t.event_id::text, t.transition, t.node_from
from log_entry e
join transition t on t.opened_on = e.opened_on and t.event_id = e.event_id
where e.log_index > $1 and e.log_index <= $2
  and exists (
    select from unnest(t.parents) as cause (digest)
    where not exists (
      select from transition c where c.case_id = t.case_id and c.transcript_hash = cause.digest
    )
  )
order by e.log_index

-- name: unended
select f.case_id::text, f.tenant, f.case_deadline
from transition f
where f.parents = '{}'
  and f.case_deadline > $1 and f.case_deadline <= $2
  -- A retried case has not ended before its next ending.
  and (
    select count(*) filter (where t.terminal) <= count(*) filter (where t.transition = 'TaskRetried')
    from transition t where t.opened_on = f.opened_on and t.case_id = f.case_id
  )
order by f.case_deadline
