-- The case manager decides commands of operators and records what follows. It writes no command, takes back no stop but a
-- halt, and changes nothing of what intake recorded.
revoke insert, update, delete on case_manager.operator_command from case_manager;
revoke update, delete on case_manager.control, case_manager.submission from case_manager;
grant update (decided_at, result) on case_manager.operator_command to case_manager;
grant update (queued, parked) on case_manager.submission to case_manager;
grant execute on function case_manager.lift_halt to case_manager;

-- The people who run the system: halting, cancelling, deciding and asking for retries, and nothing else.
grant usage on schema case_manager to operator, reviewer;
grant select on case_manager.approval_queue, case_manager.halted to operator;
grant execute on function
  case_manager.command, case_manager.commanded, case_manager.decide, case_manager.decided
to operator;
grant select (request_id, code, why), insert (request_id, case_id, request) on case_manager.retry_request to operator;

-- What an approver reads before deciding; the key of the person it is about is in the vault.
grant select on case_manager.approval_queue to reviewer;

-- Every agent compares its commands with what intake recorded of the case. One case at a time: it cannot list any.
do $$
declare
  agent text;
begin
  foreach agent in array string_to_array(current_setting('switchyard.agents'), ',') loop
    execute format('grant usage on schema case_manager to %I', agent);
    execute format('grant execute on function case_manager.case_facts to %I', agent);
  end loop;
end $$;
