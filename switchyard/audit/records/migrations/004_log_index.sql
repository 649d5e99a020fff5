-- Log indexes: one number for each committed row of the log, without a gap, and checkpoints over them. A row that commits is
-- queued by the statement that wrote it; one sequencer moves the queue into log indexes. Writers never wait for it, and no
-- row is skipped, however late its transaction commits: the queue's row becomes visible with it.

create table unindexed (
  opened_on   date not null,
  event_id    uuid not null,
  digest      text not null,
  recorded_at timestamptz not null,
  body_sha256 bytea not null,
  primary key (opened_on, event_id)
);
comment on table unindexed is 'Rows of the log that have no log_index yet: a queue, emptied within seconds.';
comment on column unindexed.opened_on is 'As in transition.';
comment on column unindexed.event_id is 'As in transition.';
comment on column unindexed.digest is 'transcript_hash, when it was written.';
comment on column unindexed.recorded_at is 'As in transition.';
comment on column unindexed.body_sha256 is 'SHA-256 of the body''s UTF-8, when it was written.';

create table log_index (
  log_index    bigint not null primary key check (log_index > 0),
  opened_on   date not null,
  event_id    uuid not null,
  digest      text not null,
  recorded_at timestamptz not null,
  body_sha256 bytea not null,
  indexed_at   timestamptz not null default clock_timestamp(),
  unique (opened_on, event_id)
);
comment on table log_index is
  'The order in which the log took its rows: 1, 2, 3 … without a gap. Append-only. It stays when a row''s body is moved out, and what a checkpoint covers is computed from it alone.';
comment on column log_index.log_index is 'From 1, without a gap.';
comment on column log_index.opened_on is 'As in transition.';
comment on column log_index.event_id is 'As in transition. An event has one log_index, for ever.';
comment on column log_index.digest is 'transcript_hash, when it was written.';
comment on column log_index.recorded_at is 'recorded_at, when it was written.';
comment on column log_index.body_sha256 is 'SHA-256 of the body''s UTF-8, when it was written: it covers what the digest leaves out.';
comment on column log_index.indexed_at is 'When it got its log_index, by this database''s clock; no checkpoint covers it.';

create table checkpoint (
  log            text not null,
  number         bigint not null check (number > 0),
  first_index bigint not null check (first_index > 0),
  last_index  bigint not null check (last_index >= first_index),
  statement      text not null,
  signature      bytea not null,
  recorded_at    timestamptz not null default clock_timestamp(),
  primary key (log, number),
  unique (log, first_index)
);
comment on table checkpoint is
  'Signed Merkle roots over the log indexes, each linked to the one before. A copy: the originals are in S3 under Object Lock, out of reach of this database''s owner.';
comment on column checkpoint.log is 'Which log this is; also in what is signed.';
comment on column checkpoint.number is 'From 1, without a gap.';
comment on column checkpoint.first_index is 'The first log_index that it covers: the last one of the checkpoint before, plus one.';
comment on column checkpoint.last_index is 'The last log_index that it covers.';
comment on column checkpoint.statement is 'What is signed, verbatim: RFC 8785 JSON with log, number, first, last, root, previous, made_at and key.';
comment on column checkpoint.signature is 'Ed25519, or ECDSA on P-256 with SHA-256 in DER, by the key whose SHA-256 the statement names.';
comment on column checkpoint.recorded_at is 'When it was written here, by this database''s clock.';

do $$
declare
  name text;
begin
  foreach name in array array['log_index', 'checkpoint'] loop
    execute format('create trigger append_only before update or delete on %I for each row execute function refuse_change()', name);
    execute format('create trigger append_only_truncate before truncate on %I for each statement execute function refuse_change()', name);
    execute format('alter table %I enable always trigger append_only', name);
    execute format('alter table %I enable always trigger append_only_truncate', name);
  end loop;
end
$$;

create function queue_rows() returns trigger
language plpgsql
-- Definer: whoever may write to the log writes to the queue by that and in no other way.
security definer
set search_path = audit, pg_temp
as $$
begin
  insert into unindexed (opened_on, event_id, digest, recorded_at, body_sha256)
  select opened_on, event_id, transcript_hash, recorded_at, sha256(convert_to(body, 'UTF8')) from inserted;
  return null;
end
$$;
comment on function queue_rows() is 'Queues what a statement has written to the log for its log_index.';
revoke execute on function queue_rows() from public;

create trigger queued after insert on transition
  referencing new table as inserted for each statement execute function queue_rows();
alter table transition enable always trigger queued;

create function index_rows(at_most integer default 10000) returns integer
language plpgsql
security definer
set search_path = audit, pg_temp
as $$
declare
  last_index bigint;
  taken         integer;
begin
  if not exists (select from unindexed) then
    return 0;
  end if;
  -- One at a time, whoever believes to be the sequencer. Each statement below sees what the one before has committed.
  perform pg_advisory_xact_lock(hashtextextended('audit.index_rows', 0));
  select coalesce(max(p.log_index), 0) into last_index from log_index p;
  with next as (
    select u.opened_on, u.event_id from unindexed u order by u.recorded_at, u.event_id limit at_most
  ), moved as (
    delete from unindexed u using next n where u.opened_on = n.opened_on and u.event_id = n.event_id returning u.*
  ), placed as (
    insert into log_index (log_index, opened_on, event_id, digest, recorded_at, body_sha256)
    select last_index + row_number() over (order by m.recorded_at, m.event_id),
      m.opened_on, m.event_id, m.digest, m.recorded_at, m.body_sha256
    from moved m
    -- A row that was removed and delivered again keeps its old log_index; verification sees that it is not the old row.
    where not exists (select from log_index p where p.opened_on = m.opened_on and p.event_id = m.event_id)
  )
  select count(*) into taken from moved;
  return taken;
end
$$;
comment on function index_rows(integer) is
  'Gives the oldest rows of the queue the next log indexes; returns how many it took. In one transaction: killed at any moment, it has done all of that or nothing.';
revoke execute on function index_rows(integer) from public;

-- What was written before there were log indexes. The trigger above has locked out writers until this commits.
insert into unindexed (opened_on, event_id, digest, recorded_at, body_sha256)
select opened_on, event_id, transcript_hash, recorded_at, sha256(convert_to(body, 'UTF8')) from transition;
