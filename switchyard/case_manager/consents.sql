-- name: ask_consent
-- Returns the answer of a command that was answered before.
with added as (
  insert into pending_command (task_id, case_id, kind, playbook, command, due_at, waits_for)
  select $1, $2, 'consent', $3, $4, $5, $6
  where not exists (select from latest_ending ended where ended.case_id = $2)
  on conflict (task_id) do nothing
  returning task_id
), requested as (
  insert into outbox (event) select $7 from added on conflict (event_id) do nothing
)
select o.event from pending_command p join outbox o on o.event_id = p.answer_id where p.task_id = $1

-- name: waiting_for
-- $3 and $4: the tenant and the source of the renewal, which must be those that intake recorded of the case.
select p.task_id, p.kind, p.command from pending_command p
join submission s on s.case_id = p.case_id
where p.kind = 'consent' and p.waits_for = $1 and p.answer_id is null
  and s.facts::json #>> '{pinned,tenant}' = $3 and s.facts::json #>> '{pinned,principal,sub}' = 'service:' || $4::text
  and not exists (select from latest_ending ended where ended.case_id = p.case_id)
order by p.stored_at
limit $2
