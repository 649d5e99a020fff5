-- One row per process that calls models. It lives in the agent's own schema.
create table latency_snapshot (
  replica  uuid primary key,
  taken_at timestamptz not null,
  snapshot text not null
);
comment on table latency_snapshot is 'How fast the models were, for the processes that start next.';
comment on column latency_snapshot.replica is 'One per process start.';
comment on column latency_snapshot.taken_at is 'The process''s clock. Older snapshots count less.';
comment on column latency_snapshot.snapshot is 'JSON of failover.Snapshot: numbers and model names.';
