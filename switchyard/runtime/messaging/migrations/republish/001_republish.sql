create table republish (
  event_id     uuid primary key,
  case_id      uuid not null,
  requested_by text not null default session_user,
  requested_at timestamptz not null default clock_timestamp(),
  answered_at  timestamptz,
  found        boolean
);
create index republish_open on republish (requested_at) where answered_at is null;
comment on table republish is 'Events that this producer is asked to publish once more, because the audit log misses them or what follows from them.';
comment on column republish.event_id is 'An event of the view published; what is not there is not published.';
comment on column republish.requested_by is 'The database role that asked.';
comment on column republish.answered_at is 'When the event was on the bus again, or was not found; null until then.';
comment on column republish.found is 'Whether this producer had published such an event.';
