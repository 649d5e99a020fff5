-- name: changes
select change_id, kind, key, by, why, at from control_change where change_id::text <> all($2::text[]) order by at limit $1

-- name: store_event
with stored as (
  delete from control_change where change_id = $1 returning change_id
)
insert into outbox (event) select $2 from stored on conflict (event_id) do nothing

-- name: release_parked
with parked as (
  select case_id, opened_id from submission
  where parked and not exists (select from control c where c.kind = 'halted_playbook' and c.key = playbook)
  order by received_at
  limit $1
  for update skip locked
),
unparked as (
  update submission s set parked = false from parked where s.case_id = parked.case_id
)
update outbox o set stored_at = clock_timestamp(), publish_after = relay_time()
from parked where o.event_id = parked.opened_id
returning o.event
