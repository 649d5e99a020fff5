create table sending (
  case_id             uuid not null,
  content_sha256      text not null,
  command_id          uuid not null,
  attempt             integer not null default 1,
  pack                text not null,
  approval_id         uuid unique,
  state               text not null check (state in ('intended', 'sent', 'refused', 'released', 'unknown')),
  provider_message_id text,
  code                text,
  intended_at         timestamptz not null,
  answered_at         timestamptz,
  primary key (case_id, content_sha256)
);
create index sending_open on sending (intended_at) where state in ('intended', 'unknown');
comment on table sending is 'The ledger: one row per case and content, written before the provider is asked.';
comment on column sending.command_id is 'The SendEmail for which it was intended or, if unknown, whose outcome says so.';
comment on column sending.attempt is 'Raised by every intent: only the worker that wrote this one may record its answer.';
comment on column sending.approval_id is 'The approval that it used; no other sending may use it.';
comment on column sending.state is
  'intended: asked, or about to be. sent, refused: the provider''s answer. released: certainly not accepted, may be tried again. unknown: asked, and no answer was recorded.';

create table resolution (
  command_id          uuid primary key,
  case_id             uuid not null,
  content_sha256      text not null,
  sent                boolean not null,
  provider_message_id text,
  operator            text not null,
  evidence            text not null,
  resolved_at         timestamptz not null default clock_timestamp(),
  event_id            uuid,
  check (sent = (provider_message_id is not null)),
  -- These are fields of an event and must fit its contract.
  check (operator ~ '^[!-~]{1,150}$' and length(evidence) <= 2000 and provider_message_id ~ '^[!-~]{1,200}$')
);
create index resolution_unreported on resolution (resolved_at) where event_id is null;
create index resolution_case on resolution (case_id);
comment on table resolution is 'What a person found out about an unknown outcome; the email sender reports it as SendingResolved.';
comment on column resolution.event_id is 'SendingResolved, in the outbox; null until the email sender has stored it.';
comment on column resolution.command_id is 'The SendEmail whose outcome it follows in the case''s chain.';

create table send_lock (
  case_id        uuid not null,
  content_sha256 text not null,
  primary key (case_id, content_sha256)
);
comment on table send_lock is 'A row that orders two commands for the same email. It is the email sender''s own: no other role can hold it.';

create table domain_rate (
  domain_key text primary key,
  next_at    timestamptz not null
);
comment on table domain_rate is 'A token bucket per recipient domain, as the time at which it is full again (GCRA).';
comment on column domain_rate.domain_key is 'SHA-256 of the domain.';

create table turn (
  case_id        uuid not null,
  content_sha256 text not null,
  due_at         timestamptz not null,
  primary key (case_id, content_sha256)
);
comment on table turn is 'A turn in a domain''s queue: taken once, kept until the email is sent.';

-- What operators see and may do: this view and this function, and nothing else of the email sender's.

create view unresolved_send as
select s.case_id, s.content_sha256, s.intended_at, o.type as ended_as
from sending s
join inbox i on i.event_id = s.command_id
join outbox o on o.event_id = i.outputs[1]
where s.state in ('intended', 'unknown');
comment on view unresolved_send is 'Emails whose delivery status is unknown: given up, or ended while the provider was asked.';

create function resolve_send(
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
  insert into resolution (command_id, case_id, content_sha256, sent, provider_message_id, operator, evidence)
  values (command, the_case, content, was_sent, message_id, who, how);
  return true;
end $$;
revoke execute on function resolve_send from public;
comment on function resolve_send is 'Record what a person found out; false if there is no such unresolved send.';
