-- name: see_expired
select set_config('switchyard.expired_before', $1, true)

-- name: expire
with facts as (
  delete from fact where fact_id in (select fact_id from fact where expires_at < $1 limit $2)
  returning fact_id as id, tenant, kind, digest
),
turns as (
  delete from turn where case_id in (select case_id from turn where expires_at < $1 limit $2)
  returning case_id as id, tenant, 'turn' as kind, digest
)
insert into forgotten (id, tenant, kind, digest, reason)
select id, tenant, kind, digest, 'expired' from (select * from facts union all select * from turns) all_of
on conflict (id) do nothing

-- name: take_forgotten
delete from forgotten where id in (select id from forgotten order by forgotten_at, id limit $1 for update skip locked)
returning id::text, tenant, kind, digest, reason, command_id, person

-- name: store_event
insert into outbox (event) values ($1) on conflict (event_id) do nothing

-- name: undecided
select command_id::text, target::text, operator, reason, signed_at, signature from forget_request
where decided_at is null and command_id::text <> all($2::text[]) order by received_at limit $1

-- name: lock_request
select true from forget_request where command_id = $1 and decided_at is null for update

-- name: forget_person
select forget_person($1, 'operator', $2)

-- name: open_requests
select request_id, tenant, subject, memory from case_manager.open_forgettings($1) where request_id::text <> all($2::text[])

-- name: end_request
select case_manager.end_forgetting($1, $2, $3)

-- name: forget_own
select forget_person($1, 'user_request', $2, $3)

-- name: requests
select request_id::text, scope, person, signed_by, signed_at, signature
from case_manager.forgettings_of($1, $2::uuid[])

-- name: decide
update forget_request set decided_at = clock_timestamp(), result = $2 where command_id = $1

-- name: commands
select command_id::text, target::text, operator, reason, signed_at, signature from forget_request
where command_id = any($1::uuid[])
