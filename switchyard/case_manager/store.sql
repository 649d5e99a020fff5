-- name: known_submission
select s.payload_mac, s.parked, o.event as opened
from submission s join outbox o on o.event_id = s.opened_id
where s.case_id = $1

-- name: case_facts
select case_id, facts from submission where case_id = any($1::uuid[])

-- name: admit
with admitted as (
  insert into submission (case_id, payload_mac, playbook, facts, subject, subject_key, sealed_address, opened_id, parked)
  select $1, $2, $3, $4, $5, $6, $7, $8,
    exists (select from control where kind = 'halted_playbook' and key = $3)
  on conflict do nothing
  returning case_id, parked
),
timed as (
  insert into timer (case_id, kind, due_at) select case_id, 'case_deadline', $10 from admitted
),
stored as (
  insert into outbox (event, publish_after)
  select $9, case when parked then 'infinity' else relay_time() end from admitted
)
select parked from admitted

-- name: lock_rejections
-- One at a time, so that the limit of tenants counts what others have just added.
lock table rejection in share row exclusive mode

-- name: reject
-- $1 event, $2 its id, $3 source, $4 tenant, $5 code, $6 now, $7 how many become events, $8 how many tenants are counted.
with known as (
  select event from outbox where event_id = $2
),
spread as (
  select case when count(*) filter (where tenant = $4) > 0 or count(distinct tenant) < $8 then $4 else 'other' end as tenant
  from rejection where source = $3 and hour = date_trunc('hour', $6::timestamptz)
),
counted as (
  insert into rejection as r (source, hour, tenant, code, first_at, last_at)
  select $3, date_trunc('hour', $6::timestamptz), tenant, $5, $6, $6 from spread where not exists (select from known)
  on conflict (source, hour, tenant, code) do update
    set count = r.count + 1, events = least(r.count + 1, $7), last_at = greatest(r.last_at, excluded.last_at)
  returning count
),
stored as (
  insert into outbox (event) select $1 from counted where count <= $7
  on conflict (event_id) do nothing
  returning event
)
select event from known union all select event from stored

-- name: remember_rejected
insert into rejected_submission (case_id, person, code, message, field, remedy) values ($1, $2, $3, $4, $5, $6)
on conflict (case_id) do update set
  person = excluded.person, code = excluded.code, message = excluded.message, field = excluded.field,
  remedy = excluded.remedy, rejected_at = excluded.rejected_at

-- name: forget_rejected
delete from rejected_submission where rejected_at < $1

-- name: unreported_rejections
select source, hour, tenant, code, count, events, first_at, last_at from rejection
where reported_at is null and hour < $1 and count > events
order by hour
limit $2

-- name: report_rejections
with reported as (
  update rejection set reported_at = clock_timestamp()
  where (source, tenant, code, hour) = ($1, $2, $3, $4) and reported_at is null
  returning 1
)
insert into outbox (event) select $5 from reported on conflict (event_id) do nothing

-- name: forget_rejections
delete from rejection where hour < $1 and (reported_at is not null or count <= events)

-- name: close
with wanted as (
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[])
    as t (case_id, attempt, outcome, event_id, event)
),
won as (
  insert into case_ending (case_id, attempt, outcome, event_id)
  select case_id, attempt, outcome, event_id from wanted
  on conflict (case_id, attempt) do nothing
  returning case_id, attempt
),
stored as (
  insert into outbox (event) select event from wanted join won using (case_id, attempt)
  on conflict (event_id) do nothing
)
select case_id, attempt, event from wanted join won using (case_id, attempt)
union all
select c.case_id, c.attempt, o.event
from case_ending c join wanted using (case_id, attempt) join outbox o on o.event_id = c.event_id

-- name: stop_timers
-- A late event of an earlier attempt must not stop the timers of the one that is under way.
with over as (
  select case_id from unnest($1::uuid[]) as t (case_id)
  where not exists (
    select from retry r
    where r.case_id = t.case_id
      and not exists (select from case_ending c where c.case_id = r.case_id and c.attempt = r.attempt)
  )
),
untimed as (
  delete from timer using over where timer.case_id = over.case_id
),
released as (
  delete from pending_command p using over where p.case_id = over.case_id and p.answer_id is null
),
ungathered as (
  delete from gather g using over where g.case_id = over.case_id
),
unbranched as (
  delete from branch_end b using over where b.case_id = over.case_id
)
update approval set state = 'void' from over where approval.case_id = over.case_id and state = 'asked'

-- name: due_timers
select o.event as opened
from timer t
join submission s using (case_id)
join latest_opening o using (case_id)
where t.due_at <= $1 and not s.parked and t.case_id::text <> all($3::text[])
order by t.due_at
limit $2

-- name: cancelled_open
with cancelled as materialized (
  select key::uuid as case_id, command_id from control where kind = 'cancelled_case'
)
select s.case_id, o.event as opened, d.command_id, d.action, d.target, d.operator, d.reason, d.signed_at, d.signature
from cancelled c
join operator_command d using (command_id)
join submission s using (case_id)
join latest_opening o using (case_id)
where not s.parked and s.case_id::text <> all($2::text[])
  and not exists (select from latest_ending ended where ended.case_id = s.case_id)
limit $1
