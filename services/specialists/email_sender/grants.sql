-- The email sender reads what stops a sending, and takes the case manager's locks. It changes nothing there.
grant usage on schema case_manager to email_sender;
grant select on case_manager.effect_permit, case_manager.effect_approval to email_sender;
grant execute on function case_manager.lock_effect to email_sender;

-- Operators list and resolve sends whose outcome is unknown.
grant usage on schema email_sender to operator;
grant select on email_sender.unresolved_send to operator;
grant execute on function email_sender.resolve_send to operator, email_sender;
