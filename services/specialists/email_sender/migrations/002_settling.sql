-- The operator's hand on the ledger: a view and a function, and nothing else of the email sender's.

create view unsettled as
select s.case_id, s.content_sha256, s.intended_at, i.outputs::json -> 0 ->> 'type' as ended_as
from sending s
join inbox i on i.event_id = s.command_id
where s.state in ('intended', 'unknown') and i.outputs is not null;
comment on view unsettled is 'Sendings of which nobody knows what became: given up, or ended while the provider was asked.';

create function settle(
  the_case uuid, content text, was_sent boolean, message_id text, who text, how text
) returns boolean
language plpgsql security definer set search_path = email_sender, pg_temp as $$
declare
  command uuid;
begin
  update sending s
  set state = case when was_sent then 'sent' else 'refused' end,
      provider_message_id = message_id,
      answered_at = clock_timestamp()
  from inbox i
  where s.case_id = the_case and s.content_sha256 = content and s.state in ('intended', 'unknown')
    and i.event_id = s.command_id and i.outputs is not null
  returning s.command_id into command;
  if not found then
    return false;
  end if;
  insert into settlement (command_id, case_id, content_sha256, sent, provider_message_id, operator, evidence)
  values (command, the_case, content, was_sent, message_id, who, how);
  return true;
end $$;
revoke execute on function settle from public;
comment on function settle is 'Record what a person found out; false if no such sending waits for it.';
