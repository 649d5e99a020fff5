-- What the API keeps: who read another person's case, and the webhooks that are under way.

create table disclosure (
  disclosure_id bigint generated always as identity primary key,
  case_id       uuid not null,
  artefact      text not null,
  sha256        text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  opened_by     text not null check (length(opened_by) between 1 and 150),
  opened_at     timestamptz not null default clock_timestamp()
);
create index disclosure_case on disclosure (case_id, opened_at);
comment on table disclosure is 'One row per sealed artefact that somebody other than the person who asked opened by their role, written before it is sent. Append-only.';
comment on column disclosure.artefact is 'Its name in the event.';
comment on column disclosure.sha256 is 'Of the sealed bytes, as the event names them.';
comment on column disclosure.opened_by is 'The user that the identity provider named.';
comment on column disclosure.opened_at is 'By this database''s clock.';

create table webhook_cursor (
  one_row   boolean primary key default true check (one_row),
  log_index bigint not null
);
comment on table webhook_cursor is 'How far the log was searched for endings. One row.';

create table webhook_delivery (
  delivery_id uuid primary key,
  tenant      text not null,
  case_id     uuid not null,
  body        text not null,
  state       text not null default 'pending' check (state in ('pending', 'delivered', 'given_up')),
  attempts    integer not null default 0,
  due_at      timestamptz not null,
  last_error  text,
  created_at  timestamptz not null default clock_timestamp(),
  ended_at    timestamptz
);
create index webhook_delivery_due on webhook_delivery (due_at) where state = 'pending';
create index webhook_delivery_ended on webhook_delivery (ended_at) where state <> 'pending';
comment on table webhook_delivery is 'Outbox of webhooks: one row per ending of a case whose tenant has an endpoint. Delivered at least once, under the same id.';
comment on column webhook_delivery.delivery_id is 'webhook-id, derived from the ending: a receiver that has seen it drops it.';
comment on column webhook_delivery.due_at is 'When it is sent next: a claim moves it on, and a process that dies gives it back.';
comment on column webhook_delivery.last_error is 'Why the latest attempt failed: a status, or the kind of an error. Never content.';
