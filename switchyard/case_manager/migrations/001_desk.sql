create table submission (
  tenant          text not null,
  source          text not null,
  idempotency_key text not null,
  payload_mac     bytea not null,
  case_id         uuid not null unique,
  playbook        text not null,
  opened          text not null,
  parked          boolean not null default false,
  received_at     timestamptz not null default clock_timestamp(),
  primary key (tenant, source, idempotency_key)
);
create index submission_parked on submission (playbook) where parked;
comment on table submission is 'Intake: one row per submission. The same payload again republishes the same event.';
comment on column submission.payload_mac is 'HMAC of the payload''s canonical form: tells a repeat from a conflict without keeping it.';
comment on column submission.opened is 'The CaseOpened event as published; personal fields are sealed in it.';
comment on column submission.parked is 'Received while the playbook was halted; published when it is resumed.';

create table rejection (
  event_id    uuid primary key,
  event       text not null,
  rejected_at timestamptz not null default clock_timestamp()
);
comment on table rejection is 'Submissions that never became a case, so that a redelivery publishes the same event.';

create table closed (
  case_id   uuid primary key,
  outcome   text not null,
  event     text not null,
  closed_at timestamptz not null default clock_timestamp()
);
comment on table closed is 'Close: one row per case, the first outcome wins.';

create table timer (
  case_id uuid not null,
  kind    text not null check (kind in ('case_deadline')),
  due_at  timestamptz not null,
  primary key (case_id, kind)
);
create index timer_due on timer (due_at);
comment on table timer is 'What must happen later. A row goes when it has happened and its event is on the bus.';

create table control (
  kind  text not null check (kind in ('halted_playbook', 'cancelled_case', 'opted_out')),
  key   text not null,
  by    text not null,
  why   text not null,
  since timestamptz not null default clock_timestamp(),
  primary key (kind, key)
);
comment on table control is 'What stops work: read in the transaction that writes an effect''s intent.';
