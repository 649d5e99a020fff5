-- Operators see the emails whose delivery status is unknown, and resolve them.
grant usage on schema email_sender to operator;
grant select on email_sender.unresolved_send to operator;
grant execute on function email_sender.request_resolution, email_sender.resolution_result to operator;

-- The email sender reads what permits or stops an effect, in the scope of its case. It changes nothing there.
grant execute on function
  case_manager.effect_facts, case_manager.effect_approval, case_manager.commands_on
to email_sender;
