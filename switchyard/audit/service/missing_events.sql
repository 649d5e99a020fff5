-- name: last_index
select coalesce(max(log_index), 0) from log_index

-- name: ripe
select coalesce(max(log_index), $1) from log_index where log_index > $1 and log_index <= $1 + $3 and recorded_at <= $2

-- name: orphans
select t.case_id::text, t.event_id::text, t.transition, t.node_from
from log_index p
join transition t on t.opened_on = p.opened_on and t.event_id = p.event_id
where p.log_index > $1 and p.log_index <= $2
  and exists (
    select from unnest(t.parents) as cause (digest)
    where not exists (
      select from transition c where c.case_id = t.case_id and c.transcript_hash = cause.digest
    )
  )
order by p.log_index

-- name: unended
select f.case_id::text, f.tenant, f.case_deadline
from transition f
where f.parents = '{}'
  and f.opened_on >= ($1::timestamptz at time zone 'UTC')::date - 31
  and f.case_deadline > $1 and f.case_deadline <= $2
  -- A case that was tried again has not ended before it ended once more.
  and (
    select count(*) filter (where e.terminal) <= count(*) filter (where e.transition = 'TaskRetried')
    from transition e where e.opened_on = f.opened_on and e.case_id = f.case_id
  )
order by f.case_deadline
