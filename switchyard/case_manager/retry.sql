-- name: open_requests
select request_id, case_id, request from retry_request where decided_at is null and request_id::text <> all($2::text[])
order by received_at
limit $1

-- name: decide
update retry_request set decided_at = clock_timestamp(), code = $2, why = $3
where request_id = $1 and decided_at is null

-- name: ending
select o.event from case_ending c join outbox o using (event_id) where c.case_id = $1 and c.attempt = $2

-- name: stops
select
  exists (select from control where kind = 'cancelled_case' and key = $1::text)
    -- Signed when the case was closed: who performs its effects obeys it all the same.
    or exists (
      select from operator_command
      where action = 'cancel' and target = $1::text and result = 'refused: the case is closed already'
    ) as cancelled,
  exists (
    select from control c join submission s on c.key = s.playbook
    where c.kind = 'halted_playbook' and s.case_id = $1::text::uuid
  ) as halted

-- name: reopen
-- The turn has its session's place again if no later turn has it; else both are open.
with reopened as (
  insert into retry (case_id, attempt, request_id, operator, event_id) values ($1, $2, $3, $4, $5)
  on conflict do nothing
  returning case_id
),
placed as (
  update session n set open_case = r.case_id
  from reopened r join submission s using (case_id)
  where n.session_key = s.session_key and n.open_case is null
)
insert into outbox (event) select $6 from reopened on conflict (event_id) do nothing

-- name: retried
select r.request_id, r.operator, o.event from retry r join outbox o using (event_id)
where r.case_id = $1 and r.attempt = $2

-- name: drop_timer
delete from timer where case_id = $1 and kind = 'case_deadline'

-- name: set_timer
insert into timer (case_id, kind, due_at) values ($1, 'case_deadline', $2)
