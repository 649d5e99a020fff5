create table sending (
  tenant              text not null default scope('tenant'),
  user_id             text not null default scope('user'),
  session_id          text not null default scope('session'),
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
  tenant              text not null default scope('tenant'),
  user_id             text not null default scope('user'),
  session_id          text not null default scope('session'),
  command_id          uuid primary key,
  case_id             uuid not null,
  content_sha256      text not null,
  sent                boolean not null,
  provider_message_id text,
  operator            text not null,
  evidence            text not null,
  resolved_at         timestamptz not null default clock_timestamp(),
  event_id            uuid,
  resolution_id       uuid,
  signed_at           timestamptz,
  signature           text,
  check (sent = (provider_message_id is not null)),
  -- These are fields of an event and must fit its contract.
  check (operator ~ '^[!-~]{1,150}$' and length(evidence) <= 2000 and provider_message_id ~ '^[!-~]{1,200}$')
);
create index resolution_unreported on resolution (resolved_at) where event_id is null;
create index resolution_case on resolution (case_id);
comment on table resolution is 'What became of an unknown outcome; the email sender reports it as SendingResolved.';
-- The email sender reports what is new of every session; no handler does.
create policy to_report on resolution for select using (event_id is null and scope('tenant') is null);
comment on column resolution.resolution_id is 'The operator''s signed resolution; null if the provider''s answer came late.';

create table resolution_request (
  resolution_id       uuid primary key,
  case_id             uuid not null,
  content_sha256      text not null,
  provider_message_id text,
  operator            text not null,
  evidence            text not null,
  signed_at           timestamptz not null,
  signature           text not null,
  received_at         timestamptz not null default clock_timestamp(),
  decided_at          timestamptz,
  result              text,
  -- These are fields of an event and must fit its contract.
  check (operator ~ '^[!-~]{1,150}$' and length(evidence) <= 2000 and provider_message_id ~ '^[!-~]{1,200}$'),
  check (content_sha256 ~ '^[0-9a-f]{64}$' and signature ~ '^[0-9a-f]{128}$'),
  check (extract(year from signed_at) between 2000 and 9000)
);
create index resolution_request_open on resolution_request (received_at) where decided_at is null;
comment on table resolution_request is 'What operators found out, signed. A row has no effect before the email sender has verified its signature.';
comment on column resolution_request.provider_message_id is 'The provider''s id of the email; null if it was not sent.';
comment on column resolution_request.result is 'resolved, or why it was refused; null until then.';
comment on column resolution.event_id is 'SendingResolved, in the outbox; null until the email sender has stored it.';
comment on column resolution.command_id is 'The SendEmail whose outcome it follows in the case''s chain.';

create table send_lock (
  tenant         text not null default scope('tenant'),
  user_id        text not null default scope('user'),
  session_id     text not null default scope('session'),
  case_id        uuid not null,
  content_sha256 text not null,
  primary key (case_id, content_sha256)
);
comment on table send_lock is 'A row that orders two commands for the same email. It is the email sender''s own: no other role can hold it.';

create table seen_command (
  command_id  uuid primary key,
  action      text not null,
  target      text not null,
  signed_at   timestamptz not null,
  received_at timestamptz not null,
  signed      boolean not null,
  fresh       boolean not null
);
create index seen_command_target on seen_command (target, received_at);
comment on table seen_command is 'Commands of operators on cases and playbooks that the email sender has verified: its own evidence of what is stopped.';
comment on column seen_command.signed is 'Whether an operator signed it. One without a signature is kept, too, so that it is verified once.';
comment on column seen_command.fresh is 'Whether it came in within 15 minutes of its signature, by the email sender''s clock; asked again for a resumption that did not.';

create function is_stopped(the_case text, the_playbook text, out cancelled boolean, out halted boolean)
language sql stable as $$
  select
    exists (select from seen_command where signed and action = 'cancel' and target = the_case),
    exists (
      select from seen_command halt
      where halt.signed and halt.action = 'halt' and halt.target = the_playbook
        and not exists (
          select from seen_command resumption
          where resumption.signed and resumption.fresh and resumption.action = 'resume'
            and resumption.target = the_playbook
            and resumption.signed_at >= least(halt.signed_at, halt.received_at)
        )
    )
$$;
comment on function is_stopped is 'What operators'' own signatures stop. A resumption counts if it was fresh when it came in, and lifts the halts before it.';

create table domain_rate (
  domain_key text primary key,
  next_at    timestamptz not null
);
comment on table domain_rate is 'A token bucket per recipient domain, as the time at which it is full again (GCRA).';
comment on column domain_rate.domain_key is 'SHA-256 of the domain.';

create table turn (
  tenant         text not null default scope('tenant'),
  user_id        text not null default scope('user'),
  session_id     text not null default scope('session'),
  case_id        uuid not null,
  content_sha256 text not null,
  due_at         timestamptz not null,
  primary key (case_id, content_sha256)
);
comment on table turn is 'A turn in a domain''s queue: taken once, kept until the email is sent.';

-- What operators see and may do: this view and these functions, and nothing else of the email sender's.

create view unresolved_send as
select s.command_id, s.case_id, s.content_sha256, s.intended_at, o.type as ended_as
from sending s
join inbox i on i.event_id = s.command_id
join outbox o on o.event_id = i.outputs[1]
where s.state in ('intended', 'unknown');
-- For that view, whose owner row security is forced on.
create policy unresolved on sending for select to current_user using (state in ('intended', 'unknown'));
comment on view unresolved_send is 'Emails whose delivery status is unknown: given up, or ended while the provider was asked.';

create function request_resolution(
  id uuid, the_case uuid, content text, message_id text, who text, how text, signed timestamptz, signature text
) returns void
language sql security definer set search_path = email_sender, pg_temp as $$
  insert into resolution_request
    (resolution_id, case_id, content_sha256, provider_message_id, operator, evidence, signed_at, signature)
  values (id, the_case, content, message_id, who, how, signed, signature)
$$;
comment on function request_resolution is 'Hand in a signed resolution. A repeated id is refused.';

create function resolution_result(id uuid) returns text
language sql stable security definer set search_path = email_sender, pg_temp as $$
  select result from resolution_request where resolution_id = id
$$;
comment on function resolution_result is 'What the email sender made of a resolution; null while it is open.';

revoke execute on function
  request_resolution(uuid, uuid, text, text, text, text, timestamptz, text), resolution_result(uuid)
from public;
