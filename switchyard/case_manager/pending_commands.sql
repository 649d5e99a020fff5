-- name: add
-- Returns the answer of a command that was answered before.
with added as (
  insert into pending_command (task_id, case_id, kind, playbook, command, due_at)
  select $1, $2, $3, $4, $5, $6
  where not exists (select from latest_ending ended where ended.case_id = $2)
  on conflict (task_id) do nothing
)
select o.event from pending_command p join outbox o on o.event_id = p.answer_id where p.task_id = $1

-- name: due
select task_id, kind, command from pending_command p
where answer_id is null and task_id::text <> all($3::text[])
  and case when kind = 'resume'
    then not exists (select from control c where c.kind = 'halted_playbook' and c.key = p.playbook)
    else due_at <= $1
  end
  and not exists (select from latest_ending ended where ended.case_id = p.case_id)
order by due_at nulls last, stored_at
limit $2

-- name: answer
with answered as (
  update pending_command p set answer_id = $2, answered_at = clock_timestamp()
  where task_id = $1 and answer_id is null
    and not exists (select from latest_ending ended where ended.case_id = p.case_id)
  returning task_id
)
insert into outbox (event) select $3 from answered on conflict (event_id) do nothing
