-- What the API keeps: who read another person's case.

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
