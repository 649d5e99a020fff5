-- One row per command that this consumer was given. It lives in the consumer's own schema, beside the outbox.
create table inbox (
  event_id       uuid primary key,
  digest         text not null,
  case_id        uuid not null,
  type           text not null,
  token          bigint not null,
  claims         integer not null,
  failures       integer not null default 0,
  last_error     text,
  model_attempts text,
  accesses       text,
  lease_until    timestamptz not null,
  claimed_at     timestamptz not null default clock_timestamp(),
  outputs        uuid[],
  completed_at   timestamptz
);
create index inbox_case on inbox (case_id);
comment on table inbox is 'Work has one outcome: claimed with a lease and a fencing token, completed by compare-and-swap.';
comment on column inbox.event_id is 'Of the command. A redelivery finds this row.';
comment on column inbox.digest is 'Of the command. The same id with another digest is an integrity alarm.';
comment on column inbox.token is 'Fencing token: raised by every claim; only its holder may complete.';
comment on column inbox.claims is 'How often a worker took it, crashes included.';
comment on column inbox.failures is 'How often a handler raised. An unreachable database is not counted.';
comment on column inbox.last_error is 'Code and message of the latest failure; never payload text.';
comment on column inbox.model_attempts is
  'JSON array: what models did in attempts that failed. A redelivery does not ask first what failed here.';
comment on column inbox.accesses is
  'JSON array: the credentials of users that attempts without an outcome used. The outcome names them, too.';
comment on column inbox.lease_until is 'After this another worker may claim it.';
comment on column inbox.outputs is 'The events of the outbox that are the outcome; null until there is one.';
comment on column inbox.completed_at is 'When the outcome was stored.';
