-- name: hold
insert into held (task_id, case_id, kind, playbook, command, due_at)
select $1, $2, $3, $4, $5, $6
where not exists (select from ended_case closed where case_id = $2)
on conflict (task_id) do nothing

-- name: due_held
select task_id, kind, command from held
where answer is null
  and case when kind = 'resume'
    then not exists (select from control c where c.kind = 'halted_playbook' and c.key = held.playbook)
    else due_at <= $1
  end
  and not exists (select from ended_case closed where closed.case_id = held.case_id)
order by due_at nulls last, held_at
limit $2

-- name: answer
update held set answer = $2, answered_at = clock_timestamp()
where task_id = $1 and answer is null and not exists (select from ended_case closed where closed.case_id = held.case_id)

-- name: unpublished_answers
select task_id, answer from held
where answer is not null and not published
order by held_at
limit $1

-- name: answers_published
update held set published = true where task_id = any($1::uuid[])

-- name: answered_again
update held set published = false where task_id = $1 and answer is not null

-- name: unpublished_notices
select notice_id, kind, key, by, why, at, event from notice where not published order by at limit $1

-- name: keep_notice
update notice set event = coalesce(event, $2) where notice_id = $1

-- name: notices_published
update notice set published = true where notice_id = any($1::uuid[])

-- name: stop_contact
with stopped as (
  insert into control (kind, key, by, why) values ('opted_out', $2, $3, $4) on conflict (kind, key) do nothing
)
insert into notice (notice_id, kind, key, by, why, event) values ($1, 'contact_stopped', $2, $3, $4, $5)
on conflict (notice_id) do update set published = false
returning event

-- name: cancelled_open
with cancelled as materialized (
  select key::uuid as case_id, by, why from control where kind = 'cancelled_case'
)
select s.case_id, coalesce(r.event, s.opened) as opened, c.by, c.why
from cancelled c
join submission s on s.case_id = c.case_id
left join lateral (
  select event from retry where case_id = s.case_id order by retried_at desc limit 1
) r on true
where not s.parked
  and not exists (select from ended_case closed where closed.case_id = s.case_id)
limit $1
