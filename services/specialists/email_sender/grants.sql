-- Operators see the emails whose delivery status is unknown, and resolve them.
grant usage on schema email_sender to operator;
grant select on email_sender.unresolved_send to operator;
grant execute on function email_sender.request_resolution, email_sender.resolution_result to operator;

-- The email sender reads what stops a sending and takes part in the case manager's locks. It changes nothing there.
grant usage on schema case_manager to email_sender;
grant select on case_manager.effect_permit, case_manager.effect_approval, case_manager.undecided_stop to email_sender;
grant execute on function case_manager.lock_effect to email_sender;
