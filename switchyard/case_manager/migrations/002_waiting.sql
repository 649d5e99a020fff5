create table held (
  task_id   uuid primary key,
  case_id   uuid not null,
  kind      text not null check (kind in ('approval', 'time', 'resume')),
  playbook  text not null,
  command   text not null,
  due_at    timestamptz,
  held_at   timestamptz not null default clock_timestamp(),
  answer    text,
  published boolean not null default false,
  check (due_at is not null or kind = 'resume')
);
create index held_due on held (due_at) where answer is null;
create index held_unpublished on held (held_at) where answer is not null and not published;
create index held_case on held (case_id);
comment on table held is
  'The case manager''s inbox: commands that it answers later, and the answers. Unanswered ones go when their case closes.';
comment on column held.command is 'The command as received: its answer hands the sealed state back untouched.';
comment on column held.due_at is 'When an approval expires, or a wait is over; null while a playbook is halted.';
comment on column held.answer is 'The event that answered it: the first wins, and is published until it is on the bus.';

create table approval (
  approval_id    uuid primary key,
  case_id        uuid not null,
  tenant         text not null,
  playbook       text not null,
  content_sha256 text not null,
  pack           text not null,
  reason         text not null,
  requested_by      text not null,
  state          text not null default 'asked' check (state in ('asked', 'granted', 'denied', 'expired', 'void')),
  asked_at       timestamptz not null,
  decide_by      timestamptz not null,
  valid_until    timestamptz,
  approver       text,
  why            text,
  signed_at      timestamptz,
  signature      text,
  decided_at     timestamptz
);
create index approval_case on approval (case_id);
create index approval_asked on approval (asked_at) where state = 'asked';
comment on table approval is 'One row per content that a person must decide on; the email sender reads it before it sends.';
comment on column approval.content_sha256 is 'Of the bytes that would be sent: a changed email is another approval.';
comment on column approval.requested_by is 'Who asked for the email, who may therefore not approve it.';
comment on column approval.signed_at is 'When the approver signed: it is part of what was signed.';
comment on column approval.valid_until is 'A grant that was not used by then is none.';

create table decision (
  decision_id uuid primary key default gen_random_uuid(),
  approval_id uuid not null,
  verdict     text not null check (verdict in ('granted', 'denied')),
  content_sha256 text not null,
  approver    text not null,
  why         text not null,
  signed_at   timestamptz not null,
  signature   text not null,
  asked_at    timestamptz not null default clock_timestamp(),
  result      text,
  -- What stands in an event must fit its contract: a name that does not is refused here, and not found by every case manager.
  check (approver ~ '^[!-~]{1,150}$' and length(why) <= 2000)
);
create index decision_open on decision (asked_at) where result is null;
comment on table decision is 'What approvers said, signed, as the command line wrote it; the case manager checks and decides.';
comment on column decision.result is 'granted or denied, or why the case manager refused the decision.';

create table notice (
  notice_id uuid primary key default gen_random_uuid(),
  kind      text not null check (kind in ('halted', 'resumed', 'contact_stopped')),
  key       text not null,
  by        text not null,
  why       text not null,
  at        timestamptz not null default clock_timestamp(),
  event     text,
  published boolean not null default false,
  check (by ~ '^[!-~]{1,150}$' and length(why) <= 2000),
  check (kind = 'contact_stopped' or key ~ '^[a-z][a-z0-9_]{0,39}$')
);
create index notice_unpublished on notice (at) where not published;
comment on table notice is 'Changes of the control table, until the event that tells the audit log is on the bus.';

alter table closed add column cancelled_by text;
comment on column closed.cancelled_by is 'Who cancelled the case, if an operator did.';

-- The operator's hand: a role with these functions and two views, and nothing else of the case manager.

create function halt(playbook text, operator text, reason text) returns boolean
language plpgsql security definer set search_path = case_manager, pg_temp as $$
begin
  insert into control (kind, key, by, why) values ('halted_playbook', playbook, operator, reason)
  on conflict do nothing;
  if found then
    insert into notice (kind, key, by, why) values ('halted', playbook, operator, reason);
  end if;
  return found;
end $$;

create function resume(playbook text, operator text, reason text) returns boolean
language plpgsql security definer set search_path = case_manager, pg_temp as $$
begin
  delete from control where kind = 'halted_playbook' and key = playbook;
  if found then
    insert into notice (kind, key, by, why) values ('resumed', playbook, operator, reason);
  end if;
  return found;
end $$;

create function cancel(the_case uuid, operator text, reason text) returns text
language plpgsql security definer set search_path = case_manager, pg_temp as $$
begin
  if not exists (select from submission where case_id = the_case) then
    return 'unknown';
  end if;
  if exists (select from closed where case_id = the_case) then
    return 'closed';
  end if;
  insert into control (kind, key, by, why) values ('cancelled_case', the_case::text, operator, reason)
  on conflict do nothing;
  return 'cancelled';
end $$;

create function decide(
  approval uuid, verdict text, content text, approver text, reason text, signed timestamptz, signature text
) returns uuid
language sql security definer set search_path = case_manager, pg_temp as $$
  insert into decision (approval_id, verdict, content_sha256, approver, why, signed_at, signature)
  values (approval, verdict, content, approver, reason, signed, signature)
  returning decision_id
$$;

create function decided(the_decision uuid) returns text
language sql stable security definer set search_path = case_manager, pg_temp as $$
  select result from decision where decision_id = the_decision
$$;

revoke execute on function
  halt(text, text, text), resume(text, text, text), cancel(uuid, text, text),
  decide(uuid, text, text, text, text, timestamptz, text), decided(uuid)
from public;

create view approval_queue as
select a.*, h.command
from approval a join held h on h.task_id = a.approval_id
where not exists (select from closed c where c.case_id = a.case_id);
comment on view approval_queue is 'Approvals of open cases, with the command that names the sealed email.';

create view halted as
select key as playbook, by, why, since from control where kind = 'halted_playbook';
comment on view halted is 'What is halted now, by whom and why.';
