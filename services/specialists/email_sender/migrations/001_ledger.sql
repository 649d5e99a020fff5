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

create table settlement (
  command_id          uuid primary key,
  case_id             uuid not null,
  content_sha256      text not null,
  sent                boolean not null,
  provider_message_id text,
  operator            text not null,
  evidence            text not null,
  settled_at          timestamptz not null default clock_timestamp(),
  event               text,
  published_at        timestamptz,
  check (sent = (provider_message_id is not null)),
  -- What stands in an event must fit its contract.
  check (operator ~ '^[!-~]{1,150}$' and length(evidence) <= 2000 and provider_message_id ~ '^[!-~]{1,200}$')
);
create index settlement_unpublished on settlement (settled_at) where published_at is null;
comment on table settlement is 'What a person found out about an unknown outcome; the email sender publishes it as SendingResolved.';
comment on column settlement.event is 'SendingResolved as it is published: stored before, so that a repeat is the same.';
comment on column settlement.command_id is 'The SendEmail whose outcome it follows in the case''s chain.';

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
comment on table turn is 'A place in a domain''s queue: taken once, kept until the email is sent.';
