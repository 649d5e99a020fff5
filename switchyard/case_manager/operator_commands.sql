-- name: undecided
select command_id, action, target, operator, reason, signed_at, signature from operator_command
where decided_at is null order by received_at limit $1

-- name: lock_undecided
select true from operator_command where command_id = $1 and decided_at is null for update

-- name: decide
update operator_command set decided_at = clock_timestamp(), result = $2 where command_id = $1

-- name: refuse
-- Many in one statement: rows of a stolen login must not hold up those that an operator signed.
update operator_command c set decided_at = clock_timestamp(), result = r.result
from unnest($1::uuid[], $2::text[]) r (command_id, result)
where c.command_id = r.command_id and c.decided_at is null

-- name: stop
insert into control (kind, key, by, why, command_id) values ($1, $2, $3, $4, $5) on conflict do nothing

-- name: resume
-- $2 when it was signed: what was kept since before a halt lifts none. A halt's own clock may be ahead of ours.
select lift_halt($1, $2)

-- name: is_halted
select exists (select from control where kind = 'halted_playbook' and key = $1)

-- name: set_limit
-- A command that was signed before the limit that counts now changes nothing.
insert into budget.money_limit as l (tenant, period, micros, command_id, signed_at, set_by, why)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (tenant, period) do update set micros = excluded.micros, command_id = excluded.command_id,
  signed_at = excluded.signed_at, set_by = excluded.set_by, why = excluded.why, set_at = clock_timestamp()
where l.signed_at < excluded.signed_at

-- name: case_state
select exists (select from submission where case_id = $1) as known,
  exists (select from latest_ending where case_id = $1) as closed

-- name: store_event
insert into outbox (event) values ($1) on conflict (event_id) do nothing

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
