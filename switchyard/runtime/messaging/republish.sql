-- name: requested
select r.event_id, r.requested_at, p.event
from republish r
left join published p on p.case_id = r.case_id and p.event_id = r.event_id
where r.answered_at is null
order by r.requested_at
limit $1

-- name: answered
-- Asked again meanwhile, it stays open.
update republish r
set answered_at = clock_timestamp(), found = a.found
from unnest($1::uuid[], $2::timestamptz[], $3::boolean[]) as a (event_id, requested_at, found)
where r.event_id = a.event_id and r.requested_at = a.requested_at
