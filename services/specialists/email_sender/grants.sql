-- Operators see the emails whose delivery status is unknown, and resolve them.
grant usage on schema email_sender to operator;
grant select on email_sender.unresolved_send to operator;
grant execute on function email_sender.resolve_send to operator, email_sender;

-- The email sender reads approvals one at a time; what it reads of a case, every agent may read. It changes nothing there.
grant execute on function case_manager.effect_approval to email_sender;
