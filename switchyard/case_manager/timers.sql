-- name: steps_due
-- The steps of a tick that may find something to do: one question instead of seven while nothing is due.
select array_remove(array[
  case when exists (select from operator_command where decided_at is null) then 'commands' end,
  case when exists (select from approval_decision where result is null) then 'approvals' end,
  case when exists (select from timer where due_at <= $1) then 'expired' end,
  case when exists (
    select from control c join submission s on s.case_id = c.key::uuid
    where c.kind = 'cancelled_case' and not s.parked
      and not exists (select from latest_ending ended where ended.case_id = s.case_id)
  ) then 'cancelled' end,
  case when exists (
    select from submission where parked and not exists (
      select from control c where c.kind = 'halted_playbook' and c.key = playbook)
  ) then 'parked' end,
  case when exists (
    select from pending_command p where answer_id is null and case when kind = 'resume'
      then not exists (select from control c where c.kind = 'halted_playbook' and c.key = p.playbook)
      else due_at <= $1
    end
  ) then 'due' end,
  case when exists (select from gather where joined_id is null and due_at <= $1) then 'gathers' end
], null)
