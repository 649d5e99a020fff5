-- The people who run the system: halting, cancelling, deciding and asking for retries, and nothing else.
grant usage on schema case_manager to operator, reviewer;
grant select on case_manager.approval_queue, case_manager.halted to operator;
grant execute on function
  case_manager.command, case_manager.commanded, case_manager.decide, case_manager.decided
to operator;
grant select, insert (request_id, case_id, request) on case_manager.retry_request to operator;

-- What an approver reads before deciding; the key of the person it is about is in the vault.
grant select on case_manager.approval_queue to reviewer;
