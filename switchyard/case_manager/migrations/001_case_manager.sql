-- Case lifecycle: submissions, endings, timers, approvals, suppression and retries. Events are stored in the outbox; the
-- tables name them by their ids.

create table submission (
  case_id        uuid primary key,
  payload_mac    bytea not null,
  playbook       text not null,
  facts          text not null,
  subject        uuid,
  subject_key    text,
  sealed_address bytea,
  opened_id      uuid not null,
  session_key    bytea,
  turn           integer,
  queued         boolean not null default false,
  parked         boolean not null default false,
  received_at    timestamptz not null default clock_timestamp()
);
create index submission_parked on submission (playbook) where parked;
create index submission_queued on submission (session_key, turn) where queued;
comment on table submission is 'Intake: one row per submission, named by its case. The same payload again republishes the same event.';
comment on column submission.case_id is 'Derived from tenant, source, who asks and the idempotency key.';
comment on column submission.facts is 'JSON: what no later event of the case may contradict (switchyard.protocol.case_facts).';
comment on column submission.subject is 'The person whom the case is about: the name of their key in the vault.';
comment on column submission.sealed_address is 'The address that an effect may go to, sealed under that key; null if the case has none.';
comment on column submission.payload_mac is 'HMAC of the payload''s canonical form: tells a repeat from a conflict without keeping it.';
comment on column submission.subject_key is 'Whom or what the case''s effect is about, for example the keyed hash of an address; null if the case has no effect to permit.';
comment on column submission.opened_id is 'The case''s first event, in the outbox; personal fields are sealed in it.';
comment on column submission.session_key is 'The session whose turn it is; null if its playbook has no sessions.';
comment on column submission.queued is 'Its turn has not come: published when the turns before it have ended.';
comment on column submission.parked is 'Its turn came while the playbook was halted; published when it is resumed.';

create table session (
  session_key bytea primary key,
  turns       integer not null,
  last_case   uuid not null,
  open_case   uuid,
  queued      integer not null default 0,
  refused     uuid[] not null default '{}'
);
comment on table session is 'Sessions: a row numbers the turns of one and says whose turn it is. Every change locks it: the opening of a case, its ending, its retry.';
comment on column session.open_case is 'The turn that has the place; null if no turn is open, and then none waits.';
comment on column session.queued is 'How many turns wait for the place.';
comment on column session.refused is 'The last submissions that were refused their turn: delivered again they are refused again.';
comment on column session.session_key is 'Keyed hash of tenant, source, who asks and session id: a session is one person''s.';

create table arrival (
  arrival_id  bigint generated always as identity primary key,
  source      text not null,
  tenant      text not null,
  type        text not null,
  mac         bytea not null,
  session_key bytea,
  sealed      bytea not null,
  trace       text not null,
  turn        bigint not null,
  failures    integer not null default 0,
  due_at      timestamptz not null default clock_timestamp(),
  received_at timestamptz not null default clock_timestamp(),
  unique (source, mac)
);
create index arrival_turn on arrival (source, turn, arrival_id);
create index arrival_lane on arrival (source, tenant, turn);
create index arrival_session on arrival (session_key, arrival_id) where session_key is not null;
comment on table arrival is 'Submissions that wait for their turn. A row goes when its case is open, or it was rejected.';
comment on column arrival.tenant is 'The tenant if its source may speak for it; empty otherwise.';
comment on column arrival.session_key is 'The session that it names, in which earlier arrivals become cases first; null if its playbook has no sessions.';
comment on column arrival.sealed is 'What upstream sent, encrypted under a key of the case manager''s own.';
comment on column arrival.turn is 'Round robin over the tenants of one source: each of them has one submission in each turn.';
comment on column arrival.due_at is 'When a worker may take it: a claim moves it on, and a worker that dies gives it back.';

create table rejection (
  source      text not null,
  hour        timestamptz not null,
  tenant      text not null,
  code        text not null,
  count       bigint not null default 1,
  events      bigint not null default 1,
  first_at    timestamptz not null,
  last_at     timestamptz not null,
  reported_at timestamptz,
  primary key (source, hour, tenant, code)
);
create index rejection_unreported on rejection (hour) where reported_at is null and count > events;
comment on table rejection is 'Rejected submissions, counted. The first few of an hour have an event each, SubmissionRejected; RejectionsCounted reports the hour.';
comment on column rejection.tenant is 'The tenant as the submission named it; `other` if too many tenants were named in that hour.';

create table case_ending (
  case_id   uuid not null,
  attempt   text not null default '',
  outcome   text not null,
  event_id  uuid not null,
  closed_at timestamptz not null default clock_timestamp(),
  primary key (case_id, attempt)
);
comment on table case_ending is 'How a case ended: one row per case and attempt, the first outcome wins.';
comment on column case_ending.attempt is 'Which retry ended so; empty for the case as it was submitted.';
comment on column case_ending.event_id is 'CaseClosed, in the outbox.';

create table rejected_submission (
  case_id     uuid primary key,
  person      bytea not null,
  code        text not null,
  message     text not null,
  field       text,
  remedy      text,
  rejected_at timestamptz not null default clock_timestamp()
);
create index rejected_submission_age on rejected_submission (rejected_at);
comment on table rejected_submission is 'Submissions of users that were rejected after they were accepted at the door, so that the user hears of it. One row per submission, forgotten with the counts of rejections.';
comment on column rejected_submission.case_id is 'The case that the submission would have opened, or conflicts with: the id that the user was answered.';
comment on column rejected_submission.person is 'Fingerprint of who submitted it.';

create table feedback (
  event_id  uuid primary key,
  case_id   uuid not null,
  number    integer not null check (number between 1 and 100),
  ending_id uuid not null,
  given_by  text not null,
  mac       bytea not null,
  stated_at bigint not null,
  given_at  timestamptz not null default clock_timestamp(),
  unique (ending_id, number)
);
comment on table feedback is 'What users said about ended cases: a chain per ending. The same words of one person again are the same event.';
comment on column feedback.event_id is 'CaseFeedback, in the outbox.';
comment on column feedback.ending_id is 'The CaseClosed that it is about.';
comment on column feedback.mac is 'HMAC of person, thumb and reason.';
comment on column feedback.stated_at is 'When the ingress signed it, in seconds since 1970: an older word never follows a newer one.';

create table forgetting (
  request_id  uuid not null,
  tenant      text not null,
  subject     uuid not null,
  scope       text not null check (scope in ('one', 'all')),
  memory      uuid,
  person      text not null,
  signed_by   text not null,
  signed_at   timestamptz not null,
  signature   text not null,
  received_at timestamptz not null default clock_timestamp(),
  done_at     timestamptz,
  forgotten   integer,
  primary key (subject, request_id),
  check ((memory is null) = (scope = 'all'))
);
create index forgetting_open on forgetting (received_at) where done_at is null;
comment on table forgetting is 'What users want forgotten of what is remembered of them. A row is here only once the signature of the source was verified.';
comment on column forgetting.subject is 'The pseudonym of who asks, for themselves.';
comment on column forgetting.person is 'What the source signed in place of a name; see switchyard.protocol.forgetting.';
comment on column forgetting.forgotten is 'How many things were forgotten; null until memory has done it.';

create table timer (
  case_id uuid not null,
  kind    text not null check (kind in ('case_deadline')),
  due_at  timestamptz not null,
  primary key (case_id, kind)
);
create index timer_due on timer (due_at);
comment on table timer is 'What must happen later. A row goes when it has happened and its event is stored.';

create table control (
  kind  text not null check (kind in ('halted_playbook', 'cancelled_case', 'suppressed_address')),
  key   text not null,
  by    text not null,
  why   text not null,
  since timestamptz not null default clock_timestamp(),
  command_id uuid,
  primary key (kind, key)
);
comment on column control.command_id is 'The operator''s command; null for a suppressed address.';
comment on table control is 'What stops work: halted playbooks, cancelled cases, and the suppression list. Read in the transaction that writes an effect''s intent.';
comment on column control.key is 'The playbook, the case id, or the keyed hash of the suppressed address.';

create table operator_command (
  command_id  uuid primary key,
  action      text not null check (action in ('halt', 'resume', 'cancel', 'budget')),
  target      text not null,
  operator    text not null,
  reason      text not null,
  signed_at   timestamptz not null,
  signature   text not null,
  received_at timestamptz not null default clock_timestamp(),
  decided_at  timestamptz,
  result      text,
  -- These are fields of an event: a value that does not fit its contract is refused here, not by every case manager.
  check (operator ~ '^[!-~]{1,150}$' and length(reason) <= 2000 and signature ~ '^[0-9a-f]{128}$'),
  check (target ~ (case action
    when 'cancel' then '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    when 'budget' then '^[!-~]{1,200}/(day|case)/([0-9]{1,9}\.[0-9]{6}|none)$' else '^[a-z][a-z0-9_]{0,39}$' end)),
  check (extract(year from signed_at) between 2000 and 9000)
);
create index operator_command_open on operator_command (received_at) where decided_at is null;
create index operator_command_target on operator_command (target, received_at);
comment on table operator_command is 'Commands of operators, signed. A row has no effect before its signature was verified, and none afterwards: an id is used once.';
comment on column operator_command.result is 'What the case manager made of it; null until then. The performer of an effect obeys a signed stop at once.';

create table pending_command (
  task_id     uuid primary key,
  case_id     uuid not null,
  kind        text not null check (kind in ('approval', 'consent', 'time', 'resume')),
  playbook    text not null,
  command     text not null,
  due_at      timestamptz,
  stored_at   timestamptz not null default clock_timestamp(),
  answer_id   uuid,
  answered_at timestamptz,
  waits_for   uuid,
  check (due_at is not null or kind = 'resume'),
  check ((waits_for is not null) = (kind = 'consent'))
);
create index pending_command_consent on pending_command (waits_for) where waits_for is not null and answer_id is null;
create index pending_command_due on pending_command (due_at) where answer_id is null;
create index pending_command_case on pending_command (case_id);
comment on table pending_command is
  'Commands that the case manager answers later: after an approval, at a time, or when a playbook is resumed. Unanswered ones go when their case closes.';
comment on column pending_command.command is 'The command as received: its answer hands the sealed state back untouched.';
comment on column pending_command.waits_for is 'The grant whose renewal answers it.';
comment on column pending_command.due_at is 'When an approval expires, or a wait is over; null while a playbook is halted.';
comment on column pending_command.answer_id is 'The event that answered it, in the outbox: the first answer wins.';

create table gather (
  gather_id uuid primary key,
  case_id   uuid not null,
  command   text not null,
  opened_at timestamptz not null default clock_timestamp(),
  due_at    timestamptz,
  joined_id uuid,
  joined_at timestamptz
);
create index gather_case on gather (case_id);
create index gather_due on gather (due_at) where joined_id is null and due_at is not null;
comment on table gather is 'Gathers: what waits for the branches of a case. Rows go when the case closes.';
comment on column gather.command is 'The command as received: the joined event hands its sealed state back untouched.';
comment on column gather.due_at is 'When it is joined without the branches that have not ended; null if all are waited for.';
comment on column gather.joined_id is 'The event that joined the branches, in the outbox: once.';

create table branch_end (
  gather_id uuid not null,
  case_id   uuid not null,
  branch    integer not null,
  event_id  uuid not null,
  event     text not null,
  ended_at  timestamptz not null default clock_timestamp(),
  primary key (case_id, gather_id, branch)
);
comment on table branch_end is 'How a branch ended: one row per branch, the first end wins. It may be here before its gather.';
comment on column branch_end.case_id is 'In the key, so that no other case can take the place of a branch.';

create table approval (
  approval_id    uuid primary key,
  case_id        uuid not null,
  tenant         text not null,
  playbook       text not null,
  content_sha256 text not null,
  pack           text not null,
  reason         text not null,
  requested_by   text not null,
  state          text not null default 'asked' check (state in ('asked', 'granted', 'denied', 'returned', 'expired', 'void')),
  asked_at       timestamptz not null,
  decide_by      timestamptz not null,
  valid_until    timestamptz,
  decided_at     timestamptz
);
create index approval_case on approval (case_id);
create index approval_asked on approval (asked_at) where state = 'asked';
comment on table approval is 'One row per content that a person must decide on; who performs the effect reads it before.';
comment on column approval.content_sha256 is 'Of the bytes that would take effect: changed content is another approval.';
comment on column approval.requested_by is 'Who asked for the effect, who may therefore not approve it.';
comment on column approval.valid_until is 'After this a grant that was not used is invalid.';

create table approval_grant (
  approval_id uuid not null,
  approver    text not null,
  why         text not null,
  signed_at   timestamptz not null,
  signature   text not null,
  granted_at  timestamptz not null,
  primary key (approval_id, approver)
);
comment on table approval_grant is 'Who agreed: one row per approver. An approval is granted when enough persons have agreed.';
comment on column approval_grant.signed_at is 'When the approver signed: it is part of what was signed.';

create table approval_decision (
  decision_id    uuid primary key default gen_random_uuid(),
  approval_id    uuid not null,
  verdict        text not null check (verdict in ('granted', 'denied', 'returned')),
  content_sha256 text not null,
  approver       text not null,
  why            text not null,
  signed_at      timestamptz not null,
  signature      text not null,
  asked_at       timestamptz not null default clock_timestamp(),
  result         text,
  -- These are fields of an event: a value that does not fit its contract is refused here, not by every case manager.
  check (approver ~ '^[!-~]{1,150}$' and length(why) <= 2000),
  check (verdict <> 'returned' or why <> ''),
  check (content_sha256 ~ '^[0-9a-f]{64}$' and length(signature) <= 200),
  -- A time that no client can read would hold up every decision behind it.
  check (signed_at between '2000-01-01' and '9000-01-01')
);
create index approval_decision_open on approval_decision (asked_at) where result is null;
comment on table approval_decision is 'Decisions of approvers, signed, as the command line wrote them; the case manager checks and applies them.';
comment on column approval_decision.result is 'granted, denied or returned, or why the case manager refused the decision; null until then.';

create table retry_request (
  request_id  uuid primary key,
  case_id     uuid not null,
  -- Three events with what escaping adds: more would only fill the memory of who reads it.
  request     text not null check (length(request) <= 2000000),
  received_at timestamptz not null default clock_timestamp(),
  decided_at  timestamptz,
  code        text,
  why         text
);
create index retry_request_open on retry_request (received_at) where decided_at is null;
comment on table retry_request is 'What operators ask for, signed. A row has no effect before its signature and its evidence were checked.';
comment on column retry_request.request is 'JSON: operator, reason, requested_at, signature, and three events of the log: the command, its failure, the router''s CloseCase.';
comment on column retry_request.code is 'retried, or why it was refused; null until it is decided.';
comment on column retry_request.why is 'The refusal for people, with the remedy.';

create table retry (
  case_id    uuid not null,
  attempt    text not null,
  request_id uuid not null unique,
  operator   text not null,
  event_id   uuid not null,
  retried_at timestamptz not null default clock_timestamp(),
  primary key (case_id, attempt)
);
comment on table retry is 'Cases that were opened again. One attempt follows another: of two requests for the same one, the first wins.';
comment on column retry.attempt is 'The name of the attempt: every event of it carries it.';
comment on column retry.event_id is 'TaskRetried, in the outbox.';

create view latest_opening as
select s.case_id, o.event
from submission s
left join lateral (
  select event_id from retry where case_id = s.case_id order by retried_at desc limit 1
) r on true
join outbox o on o.event_id = coalesce(r.event_id, s.opened_id);
comment on view latest_opening is 'The event that opened a case, or opened it again.';

create view latest_ending as
select c.case_id, c.outcome, c.attempt
from case_ending c
where c.attempt = coalesce(
  (select r.attempt from retry r where r.case_id = c.case_id order by r.retried_at desc limit 1), '');
comment on view latest_ending is 'Cases that have ended: the ending of the latest attempt. A case that is tried again is not in it.';

create view approval_queue as
select a.*, p.command,
  array(select approver from approval_grant g where g.approval_id = a.approval_id order by granted_at) as agreed_by
from approval a join pending_command p on p.task_id = a.approval_id
where not exists (select from latest_ending ended where ended.case_id = a.case_id);
comment on view approval_queue is 'Approvals of open cases, with the command that names the sealed content.';

create view halted as
select key as playbook, by, why, since from control where kind = 'halted_playbook';
comment on view halted is 'What is halted now, by whom and why.';

-- Facts of a case, as its consumers read them: one case at a time, by its id. A consumer reads them in the transaction of
-- its claim or of its intent, so that nothing rests on the word of who sent the command. What a handler reads is in its
-- scope, which each function compares itself: its owner may be a superuser, for whom row security does not count.

create function in_scope(facts text) returns boolean language sql stable as $$
  select coalesce(
    (pinned ->> 'tenant', coalesce(pinned #>> '{principal,subject}', pinned #>> '{principal,sub}'), pinned ->> 'session_id')
      = (case_manager.scope('tenant'), case_manager.scope('user'), case_manager.scope('session')), false)
  from (select facts::json -> 'pinned') f (pinned)
$$;
comment on function in_scope is 'Whether a case is of the tenant, user and session that this transaction is for.';

create function case_facts(the_case uuid) returns text
language sql stable security definer set search_path = case_manager, pg_temp as $$
  select facts from submission where case_id = the_case
$$;
revoke execute on function case_facts from public;
comment on function case_facts is 'What intake recorded of a case, for a claim, which compares the command with it before there is a scope; null for a case that was never opened.';

create function effect_facts(the_case uuid) returns table (
  subject_key text, sealed_address bytea, ending_outcome text, cancelled boolean, halted boolean, suppressed boolean
)
language sql stable security definer rows 1 set search_path = case_manager, pg_temp as $$
  select s.subject_key, s.sealed_address, e.outcome,
    exists (select from control where kind = 'cancelled_case' and key = s.case_id::text),
    exists (select from control where kind = 'halted_playbook' and key = s.playbook),
    exists (select from control where kind = 'suppressed_address' and key = s.subject_key)
  from submission s left join latest_ending e using (case_id)
  where s.case_id = the_case and in_scope(s.facts)
$$;
revoke execute on function effect_facts from public;
comment on function effect_facts is 'What an effect of a case may go to, and what stops it now: ending_outcome is null while the case is open. No row outside its scope.';

create function commands_on(the_case uuid, the_target text, since timestamptz) returns table (
  command_id uuid, action text, target text, operator text, reason text, signed_at timestamptz, signature text,
  received_at timestamptz
)
language sql stable security definer set search_path = case_manager, pg_temp as $$
  select c.command_id, c.action, c.target, c.operator, c.reason, c.signed_at, c.signature, c.received_at
  from operator_command c join submission s on s.case_id = the_case and in_scope(s.facts)
  where c.target = the_target and c.received_at > since
$$;
revoke execute on function commands_on from public;
comment on function commands_on is 'Commands on a case or a playbook as their signers handed them in: who performs effects verifies and obeys them itself, with any result that the case manager recorded. No row outside the scope of the case.';

create function lift_halt(the_playbook text, signed timestamptz) returns boolean
language sql volatile security definer set search_path = case_manager, pg_temp as $$
  with lifted as (
    delete from control where kind = 'halted_playbook' and key = the_playbook
      and not exists (
        select from operator_command halt
        where halt.action = 'halt' and halt.target = the_playbook and halt.result in ('halted', 'was halted already')
          and least(halt.signed_at, halt.received_at) > signed
      )
    returning true
  )
  select exists (select from lifted)
$$;
revoke execute on function lift_halt from public;
comment on function lift_halt is 'The only thing that the case manager may take back. Who performs effects does not rest on it.';

create function effect_approval(the_approval uuid) returns table (
  approval_id uuid, case_id uuid, content_sha256 text, pack text, state text, valid_until timestamptz,
  requested_by text, grants text
)
language sql stable security definer rows 1 set search_path = case_manager, pg_temp as $$
  select a.approval_id, a.case_id, a.content_sha256, a.pack, a.state, a.valid_until, a.requested_by,
    (select json_agg(json_build_object(
        'approver', g.approver, 'why', g.why, 'signature', g.signature,
        'signed_at', to_char(g.signed_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) order by g.granted_at)::text
      from approval_grant g where g.approval_id = a.approval_id)
  from approval a join submission s using (case_id) where a.approval_id = the_approval and in_scope(s.facts)
$$;
revoke execute on function effect_approval from public;
comment on function effect_approval is 'An approval as the service that performs the effect reads it, with what it needs to check each signature again; its own ledger says whether it was used. No row outside its scope.';

-- What the API reads: whose case an id is, before the log has it.

create function rejection_of(the_case uuid, of_person bytea) returns table (
  code text, message text, field text, remedy text, rejected_at timestamptz
)
language sql stable security definer rows 1 set search_path = case_manager, pg_temp as $$
  select r.code, r.message, r.field, r.remedy, r.rejected_at from rejected_submission r
  where r.case_id = the_case and r.person = of_person
$$;
revoke execute on function rejection_of from public;
comment on function rejection_of is 'Why a submission was rejected, for the person who submitted it; the fingerprint needs the key of persons.';

-- What users want forgotten: memory does it, and the API shows each user their own requests.

create function open_forgettings(most integer) returns table (
  request_id uuid, tenant text, subject uuid, scope text, memory uuid, person text, signed_by text,
  signed_at timestamptz, signature text
)
language sql stable security definer set search_path = case_manager, pg_temp as $$
  select f.request_id, f.tenant, f.subject, f.scope, f.memory, f.person, f.signed_by, f.signed_at, f.signature
  from forgetting f where f.done_at is null order by f.received_at limit most
$$;
comment on function open_forgettings is 'The oldest requests that are not done, for memory.';

create function end_forgetting(by_subject uuid, the_request uuid, gone integer) returns boolean
language sql security definer set search_path = case_manager, pg_temp as $$
  update forgetting set done_at = clock_timestamp(), forgotten = gone
  where subject = by_subject and request_id = the_request and done_at is null
  returning true
$$;
comment on function end_forgetting is 'A request is done, in the transaction that deletes; null if another process did it.';

create function forgettings_of(by_subject uuid, the_requests uuid[]) returns table (
  request_id uuid, scope text, person text, signed_by text, signed_at timestamptz, signature text
)
language sql stable security definer set search_path = case_manager, pg_temp as $$
  select f.request_id, f.scope, f.person, f.signed_by, f.signed_at, f.signature from forgetting f
  where f.subject = by_subject and f.request_id = any(the_requests)
$$;
comment on function forgettings_of is 'The evidence for the receipts of a person, for memory.';

create function forgetting_of(of_tenant text, of_person bytea, the_request uuid) returns table (
  scope text, memory uuid, signed_at timestamptz, done_at timestamptz, forgotten integer
)
language plpgsql stable security definer rows 1 set search_path = case_manager, pg_temp as $$
begin
  return query select f.scope, f.memory, f.signed_at, f.done_at, f.forgotten from forgetting f
    where f.subject = vault.subject_of(of_tenant, of_person) and f.request_id = the_request;
end $$;
comment on function forgetting_of is 'A request of a user, for the API; the fingerprint needs the key of persons.';
revoke execute on function
  open_forgettings(integer), end_forgetting(uuid, uuid, integer), forgettings_of(uuid, uuid[]),
  forgetting_of(text, bytea, uuid)
from public;

-- The functions that the role `operator` may call.

create function command(
  id uuid, action text, target text, operator text, reason text, signed timestamptz, signature text
) returns void
language sql security definer set search_path = case_manager, pg_temp as $$
  insert into operator_command (command_id, action, target, operator, reason, signed_at, signature)
  values (id, action, target, operator, reason, signed, signature)
$$;
comment on function command is 'Hand in a signed command. A repeated id is refused.';

create function commanded(id uuid) returns text
language sql stable security definer set search_path = case_manager, pg_temp as $$
  select result from operator_command where command_id = id
$$;
comment on function commanded is 'What the case manager made of a command; null while it is open.';

create function decide(
  approval uuid, verdict text, content text, approver text, reason text, signed timestamptz, signature text
) returns uuid
language sql security definer set search_path = case_manager, pg_temp as $$
  insert into approval_decision (approval_id, verdict, content_sha256, approver, why, signed_at, signature)
  values (approval, verdict, content, approver, reason, signed, signature)
  returning decision_id
$$;
comment on function decide is 'Hand in a signed decision; returns its id for `decided`.';

create function decided(the_decision uuid) returns text
language sql stable security definer set search_path = case_manager, pg_temp as $$
  select result from approval_decision where decision_id = the_decision
$$;
comment on function decided is 'What the case manager made of a decision; null while it is open.';

revoke execute on function
  command(uuid, text, text, text, text, timestamptz, text), commanded(uuid),
  decide(uuid, text, text, text, text, timestamptz, text), decided(uuid)
from public;
