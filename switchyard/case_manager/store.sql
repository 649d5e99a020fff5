-- name: known_submission
-- $2 the session of the submission, or null. Always one row: one snapshot tells whether the case or another turn is new.
select s.payload_mac, s.parked or s.queued as deferred, o.event as opened,
  n.turns, n.last_case, n.open_case is not null as open, n.queued, $1 = any(n.refused) as refused
from (select) one
left join submission s on s.case_id = $1
left join outbox o on o.event_id = s.opened_id
left join session n on n.session_key = $2

-- name: case_facts
select case_id, facts from submission where case_id = any($1::uuid[])

-- name: admit
-- $11 session or null, $12 how many turns it had when the event was made: one of two concurrent turns is made again.
-- $13 how many turns may wait behind the open one.
-- A submission that another worker has just recorded is a unique violation, so that its session keeps its count.
with numbered as (
  insert into session as n (session_key, turns, last_case, open_case)
  select $11::bytea, 1, $1, $1 where $11::bytea is not null
  on conflict (session_key) do update set
    turns = n.turns + 1,
    last_case = excluded.last_case,
    open_case = coalesce(n.open_case, excluded.last_case),
    queued = n.queued + (n.open_case is not null)::integer
  where n.turns = $12 and (n.open_case is null or n.queued < $13) and excluded.last_case <> all(n.refused)
  returning turns, open_case <> last_case as queued
),
admitted as (
  insert into submission (
    case_id, payload_mac, playbook, facts, subject, subject_key, sealed_address, opened_id,
    session_key, turn, queued, parked
  )
  select $1, $2, $3, $4, $5, $6, $7, $8, $11::bytea, turns, queued,
    not queued and exists (select from control where kind = 'halted_playbook' and key = $3)
  from (select turns, queued from numbered union all select null, false where $11::bytea is null) place
  returning case_id, parked or queued as deferred
),
timed as (
  insert into timer (case_id, kind, due_at) select case_id, 'case_deadline', $10 from admitted
),
stored as (
  insert into outbox (event, publish_after)
  select $9, case when deferred then 'infinity' else relay_time() end from admitted
)
select deferred from admitted

-- name: refuse_turn
-- $3 how many turns the session had when it had no room. The last hundred refusals are remembered.
update session
set refused = (refused || $2::uuid)[greatest(cardinality(refused) - 98, 1):]
where session_key = $1 and turns = $3

-- name: lock_rejections
-- One at a time of a source, so that its limit of tenants counts what others have just added. $1 source.
select pg_advisory_xact_lock(hashtextextended('case_manager.rejection ' || $1, 0))

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

-- name: lock_sessions
-- In one order, or two batches could deadlock.
select from session
where session_key in (select session_key from submission where case_id = any($1::uuid[]) and session_key is not null)
order by session_key
for update

-- name: close
-- An ending frees its session's place, and the next turn has it: published now, or parked if its playbook is halted. Of
-- a turn that ends in the queue the opening is published, too. Rows without an attempt are openings, by the case that
-- ended. `took_ms` of the case as it was submitted, from its submission to this ending.
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
),
ended as (
  select s.case_id, s.session_key, s.opened_id, s.queued
  from won join submission s using (case_id) where s.session_key is not null
),
freed as (
  select n.session_key, n.open_case, n.queued - (
      select count(*) from ended e where e.session_key = n.session_key and e.queued
    ) as queued
  from session n where n.open_case in (select case_id from ended where not queued)
    or n.session_key in (select session_key from ended where queued)
),
next as (
  select distinct on (s.session_key) s.session_key, f.open_case as after, s.case_id, s.opened_id,
    exists (select from control c where c.kind = 'halted_playbook' and c.key = s.playbook) as parked
  from freed f join submission s using (session_key)
  where f.open_case in (select case_id from ended) and s.queued and s.case_id not in (select case_id from ended)
  order by s.session_key, s.turn
),
moved as (
  select case_id as after, case_id, opened_id, false as parked from ended where queued
  union all select after, case_id, opened_id, parked from next
),
unqueued as (
  update submission s set queued = false, parked = m.parked from moved m where s.case_id = m.case_id
),
placed as (
  update session n set
    open_case = case when f.open_case in (select case_id from ended) then x.case_id else f.open_case end,
    queued = f.queued - (x.case_id is not null)::integer
  from freed f left join next x using (session_key) where n.session_key = f.session_key
),
opened as (
  update outbox o set
    stored_at = clock_timestamp(), publish_after = case when m.parked then 'infinity' else relay_time() end
  from moved m where o.event_id = m.opened_id
  returning m.after, o.event, m.parked
)
select case_id, attempt, event, s.playbook,
  case attempt when '' then (extract(epoch from clock_timestamp() - s.received_at) * 1000)::bigint end as took_ms
from wanted join won using (case_id, attempt) left join submission s using (case_id)
union all
select c.case_id, c.attempt, o.event, null, null
from case_ending c join wanted using (case_id, attempt) join outbox o on o.event_id = c.event_id
union all
select after, null, event, null, null from opened where not parked

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
select o.event as opened, s.queued
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
