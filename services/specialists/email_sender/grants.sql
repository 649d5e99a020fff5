-- Operators see the emails whose delivery status is unknown, and resolve them.
grant usage on schema email_sender to operator;
grant select on email_sender.unsettled to operator;
grant execute on function email_sender.settle to operator, email_sender;

-- The email sender reads what stops a sending and takes part in the case manager's locks. It changes nothing there.
grant usage on schema case_manager to email_sender;
grant select on case_manager.sendable, case_manager.sendable_approval to email_sender;
grant execute on function case_manager.lock_sending to email_sender;
