-- name: claim
-- Any number of relays: each takes other rows, and what one has taken comes back if it dies.
update outbox o
set publish_after = clock_timestamp() + make_interval(secs => $1)
from (
  select event_id from outbox
  where published_at is null and publish_after <= clock_timestamp() and event_id::text <> all($3::text[])
  order by publish_after
  limit $2
  for update skip locked
) due
where o.event_id = due.event_id
returning o.event_id, o.event

-- name: mark_published
update outbox set published_at = clock_timestamp() where event_id = any($1::uuid[]) and published_at is null
