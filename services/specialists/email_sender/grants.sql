-- Operators see the emails whose delivery status is unknown, and resolve them.
grant usage on schema email_sender to operator;
grant select on email_sender.unresolved_send to operator;
grant execute on function email_sender.request_resolution, email_sender.resolution_result to operator;

-- The email sender reads what permits or stops an effect, in the scope of its case. It changes nothing there.
grant execute on function
  case_manager.effect_facts, case_manager.effect_approval, case_manager.commands_on
to email_sender;

-- The console lists and resolves them through its own schema, without a right in this one.
create or replace view console.unresolved_effect as
select case_id, content_sha256, intended_at, ended_as from email_sender.unresolved_send;
create or replace function console.request_resolution(
  id uuid, the_case uuid, content text, message_id text, who text, how text, signed timestamptz, signature text
) returns void
language sql security definer set search_path = email_sender, pg_temp as $$
  select email_sender.request_resolution(id, the_case, content, message_id, who, how, signed, signature)
$$;
create or replace function console.resolution_result(id uuid) returns text
language sql stable security definer set search_path = email_sender, pg_temp as $$
  select email_sender.resolution_result(id)
$$;
