-- name: open_requests
select request_id, case_id, request from retry_request where decided_at is null order by received_at limit $1

-- name: decide
update retry_request set decided_at = clock_timestamp(), code = $2, why = $3 where request_id = $1

-- name: begun
select event from retry where request_id = $1

-- name: ending
select event from closed where case_id = $1 and attempt = $2

-- name: playbook_stops
select
  exists (select from control where kind = 'cancelled_case' and key = $1::text) as cancelled,
  exists (
    select from control c join submission s on c.key = s.playbook
    where c.kind = 'halted_playbook' and s.case_id = $1::text::uuid
  ) as halted

-- name: reopen
insert into retry (case_id, attempt, request_id, operator, event) values ($1, $2, $3, $4, $5)
on conflict do nothing

-- name: retried
select request_id, operator, event from retry where case_id = $1 and attempt = $2

-- name: drop_timer
delete from timer where case_id = $1 and kind = 'case_deadline'

-- name: set_timer
insert into timer (case_id, kind, due_at) values ($1, 'case_deadline', $2)
