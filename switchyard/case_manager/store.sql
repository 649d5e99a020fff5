-- name: known_submission
select case_id, payload_mac, opened, parked
from submission where tenant = $1 and source = $2 and idempotency_key = $3

-- name: admit
with admitted as (
  insert into submission (tenant, source, idempotency_key, payload_mac, case_id, playbook, opened, parked)
  select $1, $2, $3, $4, $5, $6, $7,
    exists (select from control where kind = 'halted_playbook' and key = $6)
  on conflict do nothing
  returning case_id, parked
),
timed as (
  insert into timer (case_id, kind, due_at) select case_id, 'case_deadline', $8 from admitted
)
select parked from admitted

-- name: reject
insert into rejection (event_id, event) values ($1, $2)
on conflict (event_id) do update set event_id = excluded.event_id
returning event

-- name: close
with wanted as (
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as t (case_id, attempt, outcome, event)
),
won as (
  insert into closed (case_id, attempt, outcome, event)
  select case_id, attempt, outcome, event from wanted
  on conflict (case_id, attempt) do nothing
  returning case_id, attempt, event
)
select case_id, attempt, event from won
union all
select case_id, attempt, c.event from closed c join wanted using (case_id, attempt)

-- name: stop_timers
-- A late word about an earlier try must not stop what the one that is under way waits for.
with over as (
  select case_id from unnest($1::uuid[]) as t (case_id)
  where not exists (
    select from retry r
    where r.case_id = t.case_id
      and not exists (select from closed c where c.case_id = r.case_id and c.attempt = r.attempt)
  )
),
untimed as (
  delete from timer using over where timer.case_id = over.case_id
),
released as (
  delete from held using over where held.case_id = over.case_id and answer is null
)
update approval set state = 'void' from over where approval.case_id = over.case_id and state = 'asked'

-- name: due_timers
select t.case_id, t.kind, coalesce(r.event, s.opened) as opened
from timer t
join submission s using (case_id)
left join lateral (
  select event from retry where case_id = t.case_id order by retried_at desc limit 1
) r on true
where t.due_at <= $1 and not s.parked
order by t.due_at
limit $2

-- name: resumable
select case_id, opened from submission
where parked and not exists (select from control c where c.kind = 'halted_playbook' and c.key = playbook)
order by received_at
limit $1

-- name: unpark
update submission set parked = false where case_id = any($1::uuid[])

-- name: set_control
insert into control (kind, key, by, why) values ($1, $2, $3, $4)
on conflict (kind, key) do nothing

-- name: clear_control
delete from control where kind = $1 and key = $2
