-- The audit log: the rows that audit recorded, their transparency log, retention, erasure and the reviewers' views.
-- What an application adds (its views, classes of outcomes, retention policies) is applied after this file.

create function refuse_change() returns trigger
language plpgsql as $$
begin
  raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, lower(tg_op)
    using hint = 'A correction is a new event, never a change of a recorded one.';
end
$$;
comment on function refuse_change() is 'Refuses every change of an append-only table, also by its owner.';

-- A row of a hostile owner may hold a time that a client cannot read, and would then stop every query that meets it.
create function clamped(moment timestamptz) returns timestamptz
language sql immutable parallel safe
as $$ select least(greatest(moment, timestamptz '0001-01-03 00:00:00+00'), timestamptz '9999-12-29 00:00:00+00') $$;
comment on function clamped(timestamptz) is 'The time itself, or the nearest one that every client can hold, in any time zone.';
create function clamped(day date) returns date
language sql immutable parallel safe
as $$ select least(greatest(day, date '0001-01-03'), date '9999-12-29') $$;
comment on function clamped(date) is 'The same of a day.';
create function deep_json_of(body text) returns jsonb
language plpgsql stable parallel safe
as $$
begin
  return body::jsonb;
exception when data_exception or program_limit_exceeded then -- a stack that is used up is of the second class
  return null;
end
$$;
comment on function deep_json_of(text) is 'The same as json_of, of a text whose nesting may use up the parser''s stack, which pg_input_is_valid does not survive.';
create function json_of(body text) returns jsonb
language sql stable parallel safe
as $$
  select case
    when length(body) - length(translate(body, '[{', '')) > 500 then audit.deep_json_of(body)
    when pg_input_is_valid(body, 'jsonb') then body::jsonb
  end
$$;
comment on function json_of(text) is 'A text as JSON; null if it is no JSON that PostgreSQL can hold.';
create function whole_number(value jsonb) returns bigint
language sql stable parallel safe
as $$
  select case when pg_input_is_valid(value #>> '{}', 'bigint') and (value #>> '{}')::bigint between 0 and 1000000000000
    then (value #>> '{}')::bigint end
$$;
comment on function whole_number(jsonb) is 'A JSON value as a count, of tokens or milliseconds; null if it is no count.';
create function elements_of(value jsonb) returns jsonb
language sql immutable parallel safe
as $$ select case when jsonb_typeof(value) = 'array' then value else '[]' end $$;
comment on function elements_of(jsonb) is 'A JSON array itself; an empty one in place of anything else.';
create function milliseconds(earlier timestamptz, later timestamptz) returns bigint
language sql immutable parallel safe
as $$ select (extract(epoch from audit.clamped(later) - audit.clamped(earlier)) * 1000)::bigint $$;
comment on function milliseconds(timestamptz, timestamptz) is 'From one time to another.';

-- The log: one row per event that the bus delivered. The body is the text as received; the other columns are read from it.
create table transition (
  opened_on       date not null,
  event_id        uuid not null,
  case_id         uuid not null,
  tenant          text not null,
  session_id      text not null,
  principal_sub   text not null,
  subject         uuid,
  node_from       text not null,
  node_to         text not null,
  transition      text not null,
  type_version    integer not null,
  seq             bigint not null,
  ordinal         bigint not null,
  siblings        integer not null,
  parents         text[] not null,
  transcript_hash text not null,
  playbook_version text not null,
  bundle          text,
  prompt_version  text,
  model_id        text,
  latency_ms      bigint,
  rubric_score    integer,
  access          text,
  time_limit_ms   bigint,
  case_deadline   timestamptz not null,
  terminal        boolean not null,
  outcome         text,
  catalogued      boolean not null,
  event_ts        timestamptz not null,
  source          text not null,
  bus_id          text,
  bus_ts          timestamptz,
  recorded_at     timestamptz not null default clock_timestamp(),
  mac             bytea not null,
  mac_key         uuid not null,
  body            text,
  primary key (opened_on, event_id)
) partition by range (opened_on);
create index transition_case on transition (case_id, seq, ordinal);
create index transition_opened on transition (opened_on, event_ts) where parents = '{}';
-- For lists of cases, the newest first, of one session, tenant or user.
create index transition_session on transition (session_id, opened_on, event_ts) where parents = '{}';
create index transition_tenant on transition (tenant, opened_on, event_ts) where parents = '{}';
create index transition_user on transition (principal_sub, opened_on, event_ts) where parents = '{}';
-- For cases whose time is over: of each case its first event.
create index transition_deadline on transition (case_deadline) where parents = '{}';
create index transition_ended on transition (opened_on, outcome) where terminal;
-- How a case ended, and whether it was opened again: for lists of cases.
create index transition_ending on transition (case_id, opened_on)
  include (terminal, transition, outcome, seq, event_ts, recorded_at) where terminal or transition = 'TaskRetried';
create index transition_subject on transition (subject, tenant) where parents = '{}' and subject is not null;
create index transition_access on transition (subject, recorded_at) where access is not null;
create index transition_model on transition (opened_on, node_from) where model_id is not null;
create index transition_label on transition (opened_on, transition);
-- For the reconciler, which asks for the latest rows. BRIN, because rows arrive in the order of this column.
create index transition_recorded on transition using brin (recorded_at);
comment on table transition is
  'One row per transition of a case. Append-only: an update, a delete or a truncate is refused, except that retention takes bodies out. The body is the evidence: every other column but recorded_at is read from it and can be checked against it.';
comment on column transition.opened_on is 'UTC day on which the case was opened; the same in every event of the case. Partition key.';
comment on column transition.event_id is 'Identity of the event. A redelivery has the same one and is dropped.';
comment on column transition.case_id is 'The case.';
comment on column transition.tenant is 'Whose case it is.';
comment on column transition.session_id is 'The conversation that the case belongs to.';
comment on column transition.principal_sub is 'On whose behalf the case runs: the subject claim, never a token.';
comment on column transition.subject is 'Pseudonym of the person the case is about: the name of their sealing key.';
comment on column transition.node_from is 'The service that emitted the event. The bus source was checked against it.';
comment on column transition.node_to is 'The service that the event is for; external if it is for no service of ours.';
comment on column transition.transition is 'The event''s type, which is the transition''s label.';
comment on column transition.type_version is 'Version of the type''s contract.';
comment on column transition.seq is 'Greatest seq of the parents plus one, 0 for the first event; for reading.';
comment on column transition.ordinal is 'Which of the children of its cause this is, from 0.';
comment on column transition.siblings is 'How many children of its cause there are, this one included.';
comment on column transition.parents is 'transcript_hash of each event that caused this one; empty for the first event of a case.';
comment on column transition.transcript_hash is
  'The event''s digest: SHA-256, in hex, over the RFC 8785 form of the event without digest, occurred_at, trace, storage_refs and state_seal. It covers the parents'' digests, so a case is a hash chain.';
comment on column transition.playbook_version is 'The playbook version that the case is pinned to.';
comment on column transition.bundle is 'Digest of the configuration bundle of the agent that emitted the event, its code''s revision included; null if no agent did.';
comment on column transition.prompt_version is 'Version of the prompt that the model was given; null without a model call.';
comment on column transition.model_id is 'The model that answered; null without a model call.';
comment on column transition.latency_ms is 'How long the model call took, in milliseconds; null without a model call.';
comment on column transition.rubric_score is 'Judge''s score in basis points, 0 to 10000; null if nothing was judged.';
comment on column transition.access is 'The credentials that the step used: a JSON array of agent, grant, jti, audience, scopes and subject; null without one. Never a token.';
comment on column transition.time_limit_ms is 'How long one attempt at the task may take, in milliseconds; null if the event is not a task.';
comment on column transition.case_deadline is 'When the case must have ended.';
comment on column transition.terminal is 'Whether the event ends its case, by the catalogue that audit had at the time of recording.';
comment on column transition.outcome is 'How the case ended; null unless terminal.';
comment on column transition.catalogued is 'Whether audit''s catalogue had the type, its version and this producer and consumer when it was recorded.';
comment on column transition.event_ts is 'When the event happened, by the producer''s clock: a claim.';
comment on column transition.source is 'EventBridge source: switchyard. and the producer, enforced by IAM.';
comment on column transition.bus_id is 'EventBridge''s id of this delivery: a claim; a producer''s retry gets a new one.';
comment on column transition.bus_ts is 'When EventBridge accepted the event, in whole seconds: a claim.';
comment on column transition.recorded_at is 'When it was written here, by this database''s clock, which the writer cannot set: evidence.';
comment on column transition.mac is 'HMAC-SHA-256 over opened_on, event_id, the body''s SHA-256 and transcript_hash, made by the audit process at ingest.';
comment on column transition.mac_key is 'The key of the MAC, in mac_key.';
comment on column transition.body is 'The SQS message body, verbatim: the EventBridge event with the envelope as its detail. Personal fields in it are sealed. Null once it is retired: retention_receipt has its SHA-256.';

create table integrity_alarm (
  alarm_id    bigint generated always as identity primary key,
  kind        text not null check (kind ~ '^[a-z][a-z_]{1,39}$'),
  event_id    uuid,
  case_id     uuid,
  reason      text not null,
  field       text,
  body        text,
  body_sha256 bytea not null,
  recorded_at timestamptz not null default clock_timestamp(),
  unique (kind, body_sha256)
);
create index integrity_alarm_case on integrity_alarm (case_id) where case_id is not null;
comment on table integrity_alarm is
  'Messages that reached audit and are invalid or suspicious, with the reason. Append-only, like the log.';
comment on column integrity_alarm.alarm_id is 'In the order of recording; gaps have no meaning.';
comment on column integrity_alarm.kind is
  'forged_source, forged_type, digest_mismatch, malformed, unstorable: not recorded in the log. unknown_type, not_in_catalogue: recorded in the log as well. bus_time: recorded without the bus''s time, which no database holds. duplicate_differs: the log has another event with this id. forged_row: in the log, but not recorded by the audit process; it gets no log index.';
comment on column integrity_alarm.event_id is 'The event id that the message claims; null if it is missing.';
comment on column integrity_alarm.case_id is 'The case id that the message claims; null if it is missing.';
comment on column integrity_alarm.reason is 'What is wrong, for people; never payload text.';
comment on column integrity_alarm.field is 'The field at fault, as a dotted path; null if the whole message is invalid.';
comment on column integrity_alarm.body is
  'The SQS message body, verbatim. Null if it came from an upstream source, whose plain payload must not be kept here.';
comment on column integrity_alarm.body_sha256 is 'SHA-256 of the body: a redelivery raises no second alarm.';
comment on column integrity_alarm.recorded_at is 'When it was written here, by this database''s clock.';

-- The keys of the rows' MACs, wrapped by a key that this database does not have.
create table mac_key (
  key_id      uuid primary key,
  not_before  timestamptz not null,
  not_after   timestamptz not null,
  wrapped     bytea not null,
  recorded_at timestamptz not null default clock_timestamp()
);
comment on table mac_key is 'Keys with which the audit process authenticates rows, wrapped by KMS. Append-only; a changed row cannot be unwrapped.';
comment on column mac_key.key_id is 'Identity of the key; authenticated with it.';
comment on column mac_key.not_before is 'When the key was made, by the clock of the audit process; authenticated with it.';
comment on column mac_key.not_after is 'Until when rows may be recorded with it; authenticated with it.';
comment on column mac_key.wrapped is 'The key, encrypted by KMS.';
comment on column mac_key.recorded_at is 'When it was written here, by this database''s clock.';

-- The transparency log (RFC 9162): each committed row gets the next log index, without a gap, and checkpoints cover the
-- log indexes. The statement that writes a row also queues it; one sequencer checks its MAC and moves it into log_entry.
-- Writers never wait for the sequencer, and no row is skipped, however late its transaction commits: a queued row becomes
-- visible with it.
create table unindexed (
  opened_on   date not null,
  event_id    uuid not null,
  recorded_at timestamptz not null,
  primary key (opened_on, event_id)
);
comment on table unindexed is 'Rows of the log that wait for their log index: a queue, emptied within seconds.';
comment on column unindexed.opened_on is 'As in transition.';
comment on column unindexed.event_id is 'As in transition.';
comment on column unindexed.recorded_at is 'As in transition; the order of the queue.';
create table log_entry (
  log_index   bigint not null primary key check (log_index > 0),
  opened_on   date not null,
  event_id    uuid not null,
  digest      text not null,
  recorded_at timestamptz not null,
  body_sha256 bytea not null,
  mac         bytea not null,
  mac_key     uuid not null,
  indexed_at  timestamptz not null default clock_timestamp(),
  unique (opened_on, event_id)
);
comment on table log_entry is
  'The entries of the transparency log, in order: 1, 2, 3 … without a gap. An entry has all that its Merkle leaf is computed from, and stays when retention takes the row''s body. Append-only.';
comment on column log_entry.log_index is 'From 1, without a gap.';
comment on column log_entry.opened_on is 'As in transition.';
comment on column log_entry.event_id is 'As in transition. An event keeps its log index.';
comment on column log_entry.digest is 'transcript_hash when it was indexed.';
comment on column log_entry.recorded_at is 'recorded_at when it was indexed.';
comment on column log_entry.body_sha256 is 'SHA-256 of the body''s UTF-8: it covers what the digest leaves out, and the MAC covers it.';
comment on column log_entry.mac is 'As in transition.';
comment on column log_entry.mac_key is 'As in transition.';
comment on column log_entry.indexed_at is 'When the entry got its log index, by this database''s clock; not part of the leaf.';
create table checkpoint (
  log         text not null,
  number      bigint not null check (number > 0),
  first_index bigint not null check (first_index > 0),
  last_index  bigint not null check (last_index >= first_index),
  body        text not null,
  signature   bytea not null,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (log, number),
  unique (log, first_index)
);
comment on table checkpoint is
  'Signed Merkle roots (signed tree heads) over ranges of log entries, each linked to the one before. A copy: the originals are in S3 under Object Lock, where the owner of this database cannot change them. Append-only.';
comment on column checkpoint.log is 'Name of the log; part of the signed body.';
comment on column checkpoint.number is 'From 1, without a gap.';
comment on column checkpoint.first_index is 'The first log index that it covers: the last one of the checkpoint before, plus one.';
comment on column checkpoint.last_index is 'The last log index that it covers.';
comment on column checkpoint.body is 'The signed text: RFC 8785 JSON with format, log, number, first, last, root, previous, not_before, made_at and key.';
comment on column checkpoint.signature is 'Ed25519, or ECDSA on P-256 with SHA-256 in DER, by the key whose SHA-256 the body names.';
comment on column checkpoint.recorded_at is 'When it was written here, by this database''s clock.';

create table outcome_class (
  outcome text primary key check (outcome ~ '^[a-z][a-z0-9_]{0,39}$'),
  class   text not null check (class in ('reached', 'stopped', 'failed'))
);
comment on table outcome_class is 'What each outcome of the application means for its goal. Seeded by `switchyard migrate`.';
comment on column outcome_class.outcome is 'The outcome, as in transition.outcome.';
comment on column outcome_class.class is 'reached: the case did what it was opened for. stopped: it ended on purpose without that. failed: it ended otherwise.';

-- Retention: a case's bodies leave the log when its retention is over. A signed receipt keeps what the chain needs.
-- A case's bodies leave the log when its retention is over. A signed receipt keeps what the chain needs.
create table retention_policy (
  playbook         text not null check (playbook ~ '^[a-z][a-z0-9_]{0,39}$'),
  effective_from   timestamptz not null default clock_timestamp(),
  -- Longer than the 14 days of a dead-letter queue: a copy that comes back later would be a new row.
  keep_for         interval not null check (keep_for >= interval '15 days'),
  duty_for         interval check (duty_for > interval '0'),
  duty_counts_from text[] not null default '{}',
  citation         text not null check (length(citation) between 1 and 2000),
  set_by           text not null check (length(set_by) between 1 and 200),
  primary key (playbook, effective_from)
);
comment on table retention_policy is 'How long the cases of a playbook are kept, and the legal duty behind it. The latest row in force counts; a playbook without a row keeps everything. Append-only.';
comment on column retention_policy.playbook is 'The first part of playbook_version.';
comment on column retention_policy.effective_from is 'When the policy comes into force.';
comment on column retention_policy.keep_for is 'How long the bodies stay after the case''s last event was recorded.';
comment on column retention_policy.duty_for is 'How long the law requires them to be kept: no retirement and no erasure before; null without a legal duty.';
comment on column retention_policy.duty_counts_from is 'Transitions that start the duty anew, in any case of the playbook about the same person; empty: the last event of any kind.';
comment on column retention_policy.citation is 'The source: a law, or the person who decided.';
comment on column retention_policy.set_by is 'The operator, or migration.';
create table legal_hold (
  hold_id   uuid primary key default gen_random_uuid(),
  case_id   uuid not null,
  reason    text not null check (length(reason) between 1 and 2000),
  placed_by text not null check (length(placed_by) between 1 and 200),
  placed_at timestamptz not null default clock_timestamp()
);
create index legal_hold_case on legal_hold (case_id);
comment on table legal_hold is 'Legal holds: the case may be neither retired nor erased, also when its policy allows it. Append-only: a release is a row of legal_hold_release.';
comment on column legal_hold.hold_id is 'Identity of the hold; a case may have several.';
comment on column legal_hold.case_id is 'The case.';
comment on column legal_hold.reason is 'The operator''s reason.';
comment on column legal_hold.placed_by is 'The operator.';
comment on column legal_hold.placed_at is 'By this database''s clock.';
create table legal_hold_release (
  hold_id     uuid primary key references legal_hold,
  reason      text not null check (length(reason) between 1 and 2000),
  released_by text not null check (length(released_by) between 1 and 200),
  released_at timestamptz not null default clock_timestamp()
);
comment on table legal_hold_release is 'The end of a hold. Append-only.';
comment on column legal_hold_release.hold_id is 'The hold that ended.';
comment on column legal_hold_release.reason is 'The operator''s reason.';
comment on column legal_hold_release.released_by is 'The operator.';
comment on column legal_hold_release.released_at is 'By this database''s clock.';
create view active_hold as
select hold_id, case_id, reason, placed_by, placed_at
from legal_hold h
where not exists (select from legal_hold_release r where r.hold_id = h.hold_id);
comment on view active_hold is 'Legal holds without a release.';
create table retention_receipt (
  opened_on   date not null,
  case_id     uuid not null,
  part        integer not null check (part between 1 and 1000),
  statement   text not null check (statement is json object),
  key         text not null,
  signature   bytea not null,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (opened_on, case_id, part)
);
create index retention_receipt_case on retention_receipt (case_id);
create index retention_receipt_recorded on retention_receipt using brin (recorded_at);
comment on table retention_receipt is 'Signed receipts for retired bodies: which events there were, and under which policy their bodies were removed. Append-only.';
comment on column retention_receipt.opened_on is 'UTC day on which the case was opened.';
comment on column retention_receipt.case_id is 'The case.';
comment on column retention_receipt.part is 'From 1; a case that gets late events after its retirement is retired again.';
comment on column retention_receipt.statement is 'The signed text: canonical JSON with id, digest, parents, SHA-256 of the body and of the other columns of each event.';
comment on column retention_receipt.key is 'SHA-256 of the signing key''s public half, which is kept outside this database.';
comment on column retention_receipt.signature is 'Over the SHA-256 of the statement; the key''s kind decides the algorithm.';
comment on column retention_receipt.recorded_at is 'By this database''s clock.';
create view retired_event as
select
  r.opened_on, r.case_id, r.part,
  case when pg_input_is_valid(e.value ->> 'event_id', 'uuid') then (e.value ->> 'event_id')::uuid end as event_id,
  e.value ->> 'digest' as transcript_hash,
  array(select jsonb_array_elements_text(audit.elements_of(e.value -> 'parents'))) as parents,
  e.value ->> 'body_sha256' as body_sha256
from retention_receipt r
cross join lateral jsonb_array_elements(audit.elements_of(audit.json_of(r.statement) -> 'events')) e;
comment on view retired_event is 'Events with retired bodies, as their receipts name them. They stay here when their partition is dropped.';
create table artefact_removal (
  opened_on  date not null,
  case_id    uuid not null,
  part       integer not null,
  removed_at timestamptz not null default clock_timestamp(),
  primary key (opened_on, case_id, part),
  foreign key (opened_on, case_id, part) references retention_receipt
);
comment on table artefact_removal is 'Receipts after which the case''s artefacts were deleted from S3. The next retention run deletes the artefacts of a receipt without a row here. Append-only.';
comment on column artefact_removal.opened_on is 'As in the receipt.';
comment on column artefact_removal.case_id is 'As in the receipt.';
comment on column artefact_removal.part is 'As in the receipt.';
comment on column artefact_removal.removed_at is 'By this database''s clock.';
create table partition_drop (
  partition_name text primary key,
  cases          bigint not null,
  events         bigint not null,
  dropped_by     text not null default session_user,
  dropped_at     timestamptz not null default clock_timestamp()
);
comment on table partition_drop is 'Dropped partitions. A partition is dropped once every case in it has a receipt. Append-only.';
comment on column partition_drop.partition_name is 'The partition: transition_ and its month.';
comment on column partition_drop.cases is 'How many cases it held.';
comment on column partition_drop.events is 'How many rows it held.';
comment on column partition_drop.dropped_by is 'The database role.';
comment on column partition_drop.dropped_at is 'By this database''s clock.';

create table erasure_receipt (
  receipt_id  uuid primary key,
  subject     uuid not null,
  statement   text not null check (statement is json object),
  key         text not null,
  signature   bytea not null,
  recorded_at timestamptz not null default clock_timestamp(),
  unique (subject)
);
comment on table erasure_receipt is 'Erased persons: their key was destroyed, so that everything sealed under it in the log, in S3 and in queues is unreadable. The hash chain still verifies. Append-only.';
comment on column erasure_receipt.receipt_id is 'Derived from the subject: a repeated erasure has one receipt.';
comment on column erasure_receipt.subject is 'The person''s pseudonym, as in transition.subject.';
comment on column erasure_receipt.statement is 'The signed text: canonical JSON with the cases, the time, the operator, the reason, and when the last copies expire.';
comment on column erasure_receipt.key is 'SHA-256 of the signing key''s public half, which is kept outside this database.';
comment on column erasure_receipt.signature is 'Over the SHA-256 of the statement.';
comment on column erasure_receipt.recorded_at is 'By this database''s clock.';

-- Append-only for everyone, the owner included. Always: also in a session that sets session_replication_role to replica.
do $$
declare
  name text;
begin
  foreach name in array array[
    'integrity_alarm', 'mac_key', 'log_entry', 'checkpoint', 'retention_policy', 'legal_hold', 'legal_hold_release',
    'retention_receipt', 'artefact_removal', 'partition_drop', 'erasure_receipt']
  loop
    execute format('create trigger append_only before update or delete on %I for each row execute function refuse_change()', name);
    execute format('create trigger append_only_truncate before truncate on %I for each statement execute function refuse_change()', name);
    execute format('alter table %I enable always trigger append_only', name);
    execute format('alter table %I enable always trigger append_only_truncate', name);
  end loop;
end
$$;

create function queue_rows() returns trigger
language plpgsql
-- Security definer: a role that may write to the log gets no right on the queue itself.
security definer
set search_path = audit, pg_temp
as $$
begin
  insert into unindexed (opened_on, event_id, recorded_at) select opened_on, event_id, recorded_at from inserted;
  return null;
end
$$;
comment on function queue_rows() is 'Queues the rows that a statement has written to the log, to get their log index.';
revoke execute on function queue_rows() from public;
create trigger queued after insert on transition
  referencing new table as inserted for each statement execute function queue_rows();
alter table transition enable always trigger queued;
create function index_rows(
  days date[], ids uuid[], digests text[], times timestamptz[], body_hashes bytea[], macs bytea[], keys uuid[]
) returns integer
language plpgsql
security definer
set search_path = audit, pg_temp
as $$
declare
  last_index bigint;
  taken      integer;
begin
  -- One at a time, also if two processes take themselves for the sequencer. Each statement sees the commits before it.
  perform pg_advisory_xact_lock(hashtextextended('audit.index_rows', 0));
  select coalesce(max(e.log_index), 0) into last_index from log_entry e;
  with checked as (
    select * from unnest(days, ids, digests, times, body_hashes, macs, keys)
      with ordinality as c (opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key, place)
  ), taken_off as (
    delete from unindexed u using checked c where u.opened_on = c.opened_on and u.event_id = c.event_id
    returning u.opened_on, u.event_id
  ), indexed as (
    insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)
    select last_index + row_number() over (order by c.place),
      c.opened_on, c.event_id, c.digest, c.recorded_at, c.body_sha256, c.mac, c.mac_key
    from checked c join taken_off using (opened_on, event_id)
    -- A row that was removed and delivered again keeps its old log index; verification finds that it is another row.
    where not exists (select from log_entry e where e.opened_on = c.opened_on and e.event_id = c.event_id)
  )
  select count(*) into taken from taken_off;
  return taken;
end
$$;
comment on function index_rows(date[], uuid[], text[], timestamptz[], bytea[], bytea[], uuid[]) is
  'Gives queued rows, as the sequencer has checked them, the next log indexes, in one transaction; returns how many it took.';
create function refuse_rows(days date[], ids uuid[]) returns void
language sql
security definer
set search_path = audit, pg_temp
as $$
  delete from unindexed u using unnest(days, ids) as r (opened_on, event_id)
  where clamped(u.opened_on) = r.opened_on and u.event_id = r.event_id
$$;
comment on function refuse_rows(date[], uuid[]) is
  'Takes rows off the queue that the audit process did not record. They stay in the log without a log index, which is a finding.';
revoke execute on function
  index_rows(date[], uuid[], text[], timestamptz[], bytea[], bytea[], uuid[]), refuse_rows(date[], uuid[]) from public;

-- Retirement, erasure and the placing of a hold exclude each other, so that a hold never comes a moment too late.
create function one_at_a_time() returns void
language sql
set search_path = audit, pg_temp
as $$ select pg_advisory_xact_lock(hashtextextended('audit.retention', 0)) $$;
comment on function one_at_a_time() is 'The lock of retirement, erasure and the placing of a hold; released at the end of the transaction.';
create function place_hold() returns trigger
language plpgsql as $$
begin
  perform audit.one_at_a_time();
  return new;
end
$$;
comment on function place_hold() is 'A hold waits for a retirement that is under way.';
create trigger in_turn before insert on legal_hold for each row execute function place_hold();
create function case_retention(on_day date, the_case uuid)
returns table (
  playbook text, policy_from timestamptz, citation text, closed boolean, last_recorded timestamptz,
  keep_until timestamptz, duty_until timestamptz, holds bigint, retire_after timestamptz
)
language sql stable
set search_path = audit, pg_temp
as $$
  select
    c.playbook, p.effective_from, p.citation, c.closed, c.last_recorded,
    c.last_recorded + p.keep_for,
    greatest(own.last_at, others.last_at) + p.duty_for,
    active.holds,
    case when c.closed and active.holds = 0 and p.playbook is not null
      then greatest(c.last_recorded + p.keep_for, greatest(own.last_at, others.last_at) + p.duty_for)
      else 'infinity' end
  from (
    select split_part(min(t.playbook_version), '/', 1) as playbook, min(t.tenant) as tenant,
      (array_agg(t.subject))[1] as subject, max(t.recorded_at) as last_recorded,
      -- Each retry reopens the case: see verification/chain.py.
      count(*) filter (where t.terminal) > count(*) filter (where t.transition = 'TaskRetried') as closed,
      max(greatest(t.event_ts, t.recorded_at)) as last_at
    from transition t where t.opened_on = on_day and t.case_id = the_case
    having count(*) > 0
  ) c
  left join lateral (
    select * from retention_policy r
    where r.playbook = c.playbook and r.effective_from <= clock_timestamp()
    order by r.effective_from desc limit 1
  ) p on true
  -- The last activity that the policy names; without one, the case's last event.
  cross join lateral (
    select coalesce(
      max(greatest(t.event_ts, t.recorded_at))
        filter (where p.duty_counts_from = '{}' or t.transition = any(p.duty_counts_from)),
      c.last_at) as last_at
    from transition t where t.opened_on = on_day and t.case_id = the_case
  ) own
  -- The same person's other cases of the playbook: a later activity keeps the earlier record.
  left join lateral (
    select max(greatest(t.event_ts, t.recorded_at)) as last_at
    from transition o
    join transition t on t.opened_on = o.opened_on and t.case_id = o.case_id
    where o.parents = '{}' and o.subject = c.subject and o.tenant = c.tenant
      and split_part(o.playbook_version, '/', 1) = c.playbook
      and (p.duty_counts_from = '{}' or t.transition = any(p.duty_counts_from))
  ) others on p.duty_for is not null
  cross join lateral (select count(*) as holds from active_hold h where h.case_id = the_case) active
$$;
comment on function case_retention(date, uuid) is
  'When a case may be retired, and what it depends on. infinity while the case is open, is on hold, or its playbook has no policy.';
create function admit_receipt() returns trigger
language plpgsql
set search_path = audit, pg_temp
as $$
declare after timestamptz;
begin
  perform one_at_a_time();
  if new.statement::jsonb ->> 'case_id' is distinct from new.case_id::text
    or new.statement::jsonb ->> 'opened_on' is distinct from new.opened_on::text
    or new.statement::jsonb ->> 'part' is distinct from new.part::text then
    raise exception 'retention_receipt: the statement is about another case';
  end if;
  select r.retire_after into after from case_retention(new.opened_on, new.case_id) r;
  if after is null or after > clock_timestamp() then
    raise exception 'retention_receipt: case % may not be retired before %', new.case_id, coalesce(after::text, 'it is in the log')
      using hint = 'See audit.case_retention(opened_on, case_id): the policy, a duty, a hold, or a case that is open.';
  end if;
  return new;
end
$$;
comment on function admit_receipt() is 'The database enforces the policy, the duty and the holds, also against the retention role.';
create trigger admit before insert on retention_receipt for each row execute function admit_receipt();
alter table retention_receipt enable always trigger admit;
create function refuse_all_but_retirement() returns trigger
language plpgsql
set search_path = audit, pg_temp
as $$
begin
  if old.body is null or new.body is not null or to_jsonb(new) - 'body' is distinct from to_jsonb(old) - 'body'
    or not exists (
      select from retired_event e
      where e.opened_on = old.opened_on and e.case_id = old.case_id and e.event_id = old.event_id
        and e.transcript_hash = old.transcript_hash
        and e.body_sha256 = encode(sha256(convert_to(old.body, 'UTF8')), 'hex'))
  then
    raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, lower(tg_op)
      using hint = 'A correction is a new event, never a change of a recorded one.';
  end if;
  perform one_at_a_time();
  if exists (select from active_hold h where h.case_id = old.case_id) then
    raise exception 'case % is under a legal hold', old.case_id;
  end if;
  return new;
end
$$;
comment on function refuse_all_but_retirement() is
  'The one change that the log allows: a body becomes null, nothing else changes, a receipt names this body, and the case is not on hold.';
create trigger append_only before delete on transition for each row execute function refuse_change();
create trigger append_only_update before update on transition for each row execute function refuse_all_but_retirement();
create trigger append_only_truncate before truncate on transition
  for each statement execute function refuse_change();
alter table transition enable always trigger append_only;
alter table transition enable always trigger append_only_update;
alter table transition enable always trigger append_only_truncate;

create table transition_default partition of transition default;
create trigger append_only_truncate before truncate on transition_default
  for each statement execute function refuse_change();
alter table transition_default enable always trigger append_only_truncate;
comment on table transition_default is
  'Rows of cases that were opened in a month without a partition. Empty unless partitions were not created ahead, which raises an alarm.';
create function ensure_partitions(months_ahead integer default 3)
returns table (partition_name text, state text)
language plpgsql
-- Security definer: the writer may create partitions and change nothing else in the schema.
security definer
set search_path = audit, pg_temp
set lock_timeout = '2s'
as $$
declare
  this_month date := date_trunc('month', clock_timestamp() at time zone 'UTC');
  month      date;
begin
  perform pg_advisory_xact_lock(hashtextextended('audit.ensure_partitions', 0));
  for ahead in 0 .. least(greatest(months_ahead, 0), 24) loop
    month := this_month + make_interval(months => ahead);
    partition_name := 'transition_' || to_char(month, 'YYYY_MM');
    continue when to_regclass(partition_name) is not null;
    begin
      -- Attached rather than created in place: attaching does not lock the log against writers.
      execute format('create table %I (like transition including all)', partition_name);
      execute format(
        'create trigger append_only_truncate before truncate on %I for each statement execute function refuse_change()',
        partition_name);
      execute format('alter table %I enable always trigger append_only_truncate', partition_name);
      execute format(
        'alter table transition attach partition %I for values from (%L) to (%L)',
        partition_name, month, (month + interval '1 month')::date);
      execute format('comment on table %I is %L', partition_name, 'Cases opened in ' || to_char(month, 'YYYY-MM'));
      state := 'created';
    exception
      when check_violation then state := 'blocked'; -- the default partition holds rows of this month
      when lock_not_available then state := 'busy'; -- a long read holds the default partition
    end;
    return next;
  end loop;
end
$$;
comment on function ensure_partitions(integer) is
  'Creates the missing partitions of this month and the next ones. States: created; busy (try again); blocked (transition_default already has rows of that month).';
revoke execute on function ensure_partitions(integer) from public;

create function drop_partition(name text)
returns text
language plpgsql
-- Security definer: only the owner may drop a partition, and only after these checks.
security definer
set search_path = audit, pg_temp
set lock_timeout = '2s'
as $$
declare
  left_over bigint;
  events    bigint;
  cases     bigint;
  found     bigint;
  month     date := to_date(right(name, 7), 'YYYY_MM');
begin
  if name !~ '^transition_\d{4}_\d{2}$' or not exists (
    select from pg_inherits where inhparent = 'audit.transition'::regclass and inhrelid = to_regclass('audit.' || name))
  then
    raise exception '% is no partition of audit.transition', name;
  end if;
  -- The long check needs no lock: a receipt is never taken back, and a retired row never gets its body again. Each receipt
  -- is parsed once.
  execute format(
    'with receipt as materialized (
       select distinct e.opened_on, e.case_id, e.event_id, e.transcript_hash
       from retired_event e where e.opened_on >= $1 and e.opened_on < $1 + interval ''1 month'')
     select count(*) filter (where t.body is not null or e.event_id is null
       or exists (select from active_hold h where h.case_id = t.case_id)),
       count(*), count(distinct t.case_id)
     from %I t left join receipt e using (opened_on, case_id, event_id, transcript_hash)', name)
    into left_over, events, cases using month;
  if left_over > 0 then
    return 'kept';
  end if;
  begin
    perform one_at_a_time();
    execute format('lock table transition, %I in access exclusive mode', name);
  exception when lock_not_available then
    return 'busy';
  end;
  -- Rows and holds that came in since.
  execute format(
    'select count(*), count(*) filter (where t.body is not null or exists (select from active_hold h where h.case_id = t.case_id))
     from %I t', name) into found, left_over;
  if left_over > 0 or found <> events then
    return 'kept';
  end if;
  insert into partition_drop (partition_name, cases, events) values (name, cases, events);
  execute format('alter table transition detach partition %I', name);
  execute format('drop table %I', name);
  delete from case_figures where opened_on >= month and opened_on < month + interval '1 month';
  delete from step_figures where opened_on >= month and opened_on < month + interval '1 month';
  return 'dropped';
end
$$;
comment on function drop_partition(text) is
  'Drops the partition of a month if every event has its receipt and no case is on hold. Returns dropped, kept (something is left) or busy (try again).';
revoke execute on function drop_partition(text), case_retention(date, uuid), one_at_a_time() from public;

-- Views.
-- A view must answer even if a body in the log is not JSON: such a row has null details.
create view transition_detail as
select
  t.opened_on, t.case_id, t.seq, t.ordinal, t.event_id, t.node_from, t.node_to, t.transition,
  audit.clamped(t.event_ts) as event_ts, t.parents, t.transcript_hash,
  d.detail,
  d.detail -> 'payload' as payload,
  d.detail -> 'state' as state,
  d.detail -> 'principal' as principal,
  d.detail -> 'budget' as budget,
  d.detail -> 'model_call' as model_call,
  d.detail -> 'trace' as trace,
  d.detail -> 'storage_refs' as storage_refs
from transition t
-- offset 0 keeps the planner from parsing the body once per column.
cross join lateral (select audit.json_of(t.body) -> 'detail' as detail offset 0) d;
comment on view transition_detail is 'The event itself, as JSON, beside the columns that identify it. Narrow it by case_id: each row is parsed.';
comment on column transition_detail.detail is 'The whole envelope; null if the body is not a JSON object.';
comment on column transition_detail.payload is 'The event''s payload.';
comment on column transition_detail.state is 'The router''s state of the case, as sent out or returned.';
comment on column transition_detail.principal is 'The claims about the user on whose behalf the case runs.';
comment on column transition_detail.budget is 'The task''s model budget.';
comment on column transition_detail.model_call is 'The model call: the model, the reason for the choice, and the cost.';
comment on column transition_detail.trace is 'W3C trace context; not digested.';
comment on column transition_detail.storage_refs is 'Where the artefacts are stored; not digested.';
create view transition_states as
select
  c.opened_on, c.case_id, c.seq, c.ordinal, c.event_id, c.node_from, c.node_to, c.transition, c.event_ts,
  p.event_id as caused_by,
  p.state as pre_state,
  c.state as post_state
from transition_detail c
left join lateral (
  select t.event_id, audit.json_of(t.body) #> '{detail,state}' as state
  from transition t
  where t.opened_on = c.opened_on and t.case_id = c.case_id and t.transcript_hash = c.parents[1]
  limit 1
) p on true;
comment on view transition_states is
  'The case''s state before and after each transition. Only the router writes state, agents return it untouched.';
comment on column transition_states.caused_by is 'The first parent; null for the first event of a case.';
comment on column transition_states.pre_state is 'The state in the first parent; null if the parent has none.';
comment on column transition_states.post_state is 'The state in the event itself; null if the event has none.';
create view case_timeline as
select
  opened_on, case_id,
  row_number() over ordered as step,
  seq, ordinal, event_id, audit.clamped(event_ts) as event_ts, audit.clamped(recorded_at) as recorded_at,
  node_from, node_to, transition, model_id, latency_ms, rubric_score,
  audit.milliseconds(first_value(event_ts) over ordered, event_ts) as since_opened_ms,
  terminal, outcome, transcript_hash
from transition
window ordered as (partition by opened_on, case_id order by seq, ordinal, recorded_at, event_id);
comment on view case_timeline is 'The transitions of a case in the order of their causes.';
comment on column case_timeline.step is 'From 1. Late events have the step of their causal order.';
comment on column case_timeline.since_opened_ms is 'Milliseconds since the first event, by the producers'' clocks.';
-- A case that an operator has tried again is open until it ends once more, and its outcome is the latest one.
create view case_summary as
select
  opened_on, case_id,
  min(tenant) as tenant,
  min(session_id) as session_id,
  min(playbook_version) as playbook_version,
  (array_agg(node_from order by seq, ordinal, recorded_at, event_id))[1] || '→'
    || string_agg(node_to, '→' order by seq, ordinal, recorded_at, event_id) as route,
  coalesce(array_agg(distinct node_to) filter (where node_from = 'router' and time_limit_ms is not null), '{}') as agents,
  coalesce(array_agg(distinct model_id) filter (where model_id is not null), '{}') as model_ids,
  count(*) as hops,
  audit.clamped(min(event_ts) filter (where parents = '{}')) as opened_at,
  case when ended then audit.clamped(max(event_ts) filter (where terminal)) end as closed_at,
  case when ended then
    audit.milliseconds(min(event_ts) filter (where parents = '{}'), max(event_ts) filter (where terminal))
  end as duration_ms,
  case
    when ended then 'closed'
    when min(case_deadline) < clock_timestamp() then 'unended'
    else 'open'
  end as status,
  case when ended then (array_agg(outcome order by seq desc, event_ts desc, recorded_at desc) filter (where terminal))[1] end as outcome,
  case when ended then (array_agg(case when terminal then audit.json_of(body) #>> '{detail,payload,code}' end
    order by seq desc, event_ts desc, recorded_at desc) filter (where terminal))[1] end as code
from (
  select *,
    count(*) filter (where terminal) over of_case > count(*) filter (where transition = 'TaskRetried') over of_case as ended
  from transition
  window of_case as (partition by opened_on, case_id)
) t
group by opened_on, case_id, ended;
comment on view case_summary is 'One row per case. Narrow it by opened_on or case_id on a large log.';
comment on column case_summary.route is 'The nodes in the order of the case''s transitions.';
comment on column case_summary.agents is 'The nodes to which the router gave a task, sorted.';
comment on column case_summary.model_ids is 'The models that answered, sorted.';
comment on column case_summary.hops is 'Number of transitions.';
comment on column case_summary.opened_at is 'By the producer''s clock.';
comment on column case_summary.closed_at is 'By the producer''s clock; null while open. The latest ending, if the case was retried.';
comment on column case_summary.duration_ms is 'From opened_at to closed_at, in milliseconds, the wait for a retry included.';
comment on column case_summary.status is 'closed; open while the deadline has not passed; unended afterwards, which is an error. Open again after a TaskRetried.';
comment on column case_summary.code is 'The machine-readable reason of the outcome.';
comment on column case_summary.opened_on is 'UTC day on which the case was opened.';
comment on column active_hold.hold_id is 'Identity of the hold.';
comment on column active_hold.reason is 'The operator''s reason.';
comment on column active_hold.placed_by is 'The operator.';
comment on column active_hold.placed_at is 'By this database''s clock.';
comment on column retired_event.part is 'The part of the receipt.';
comment on column retired_event.event_id is 'The event.';
comment on column retired_event.transcript_hash is 'The event''s digest, as in the receipt.';
comment on column retired_event.parents is 'Digests of the event''s parents, as in the receipt.';
comment on column retired_event.body_sha256 is 'SHA-256, in hex, of the retired body.';

-- What the API shows callers: their own cases, and nothing that a system submitted. The query compares tenant and subject.
create view caller_event as
select
  e.log_index, t.opened_on, t.case_id, t.tenant, t.session_id, t.subject, t.event_id, t.seq, t.node_from, t.node_to,
  t.transition, audit.clamped(t.event_ts) as event_ts, audit.clamped(t.case_deadline) as case_deadline,
  t.terminal, t.outcome, t.parents, t.transcript_hash,
  audit.json_of(t.body) #> '{detail,payload}' as payload,
  audit.json_of(t.body) #> '{detail,storage_refs}' as storage_refs
from transition t join log_entry e on e.opened_on = t.opened_on and e.event_id = t.event_id
where t.principal_sub = 'service:upstream.ingress' and t.subject is not null;
comment on view caller_event is 'Events of cases that users asked through the ingress, in the order of the log. Narrow it by case_id, log_index, or subject and tenant.';
comment on column caller_event.log_index is 'Its place in the log: later entries have greater ones.';
comment on column caller_event.payload is 'The event''s payload; null once the body is retired.';
comment on column caller_event.storage_refs is 'Where its artefacts are stored; null once the body is retired.';

-- What a compliance reviewer asks. Every view narrows by case_id or opened_on before it parses a body, and answers with
-- nulls for what was in a body that has been retired; columns of the log stay.
create view model_usage as
select
  t.opened_on, t.tenant, t.node_from as agent,
  c.call ->> 'vendor' as vendor, t.model_id, c.call ->> 'role' as role, t.prompt_version,
  count(*) as answers,
  sum(audit.whole_number(c.call -> 'calls'))::bigint as calls,
  sum(audit.whole_number(c.call -> 'input_tokens'))::bigint as input_tokens,
  sum(audit.whole_number(c.call -> 'output_tokens'))::bigint as output_tokens,
  sum(audit.whole_number(c.call -> 'loser_tokens'))::bigint as lost_tokens,
  count(*) filter (where t.transition = 'TaskFailed') as failures
from transition t
-- offset 0 keeps the planner from parsing the body once per column.
cross join lateral (
  select audit.json_of(t.body) #> '{detail,model_call}' as call offset 0
) c
where t.model_id is not null
group by 1, 2, 3, 4, 5, 6, 7;
comment on view model_usage is 'Models by agent and day of opening, with their tokens. Narrow it by opened_on.';
comment on column model_usage.opened_on is 'UTC day on which the cases were opened.';
comment on column model_usage.tenant is 'Whose cases they are.';
comment on column model_usage.agent is 'The service that called the model.';
comment on column model_usage.vendor is 'bedrock, openai …; null once the bodies are retired.';
comment on column model_usage.model_id is 'The model that answered.';
comment on column model_usage.role is 'primary or fallback; null once the bodies are retired.';
comment on column model_usage.prompt_version is 'Version of the prompt.';
comment on column model_usage.answers is 'Events that carry a model call: one for each agent run.';
comment on column model_usage.calls is 'Requests to models in these runs.';
comment on column model_usage.input_tokens is 'Tokens that the answering model read.';
comment on column model_usage.output_tokens is 'Tokens that the answering model wrote.';
comment on column model_usage.lost_tokens is 'Tokens of calls whose answer was not used, for example the loser of a hedge.';
comment on column model_usage.failures is 'Runs that failed although a model was called.';
create view failovers as
select
  t.opened_on, t.case_id, t.tenant, t.session_id, t.event_id, audit.clamped(t.event_ts) as event_ts,
  t.node_from as agent, c.call ->> 'reason' as reason,
  p.attempt ->> 'vendor' as left_vendor, p.attempt ->> 'model_id' as left_model_id,
  audit.whole_number(p.attempt -> 'ended_ms') - audit.whole_number(p.attempt -> 'started_ms') as left_after_ms,
  c.call ->> 'vendor' as vendor, t.model_id, t.latency_ms,
  c.call -> 'decision' as decision
from transition t
cross join lateral (
  select audit.json_of(t.body) #> '{detail,model_call}' as call offset 0
) c
left join lateral (
  select a.value as attempt
  from jsonb_array_elements(audit.elements_of(c.call #> '{decision,attempts}')) with ordinality as a (value, number)
  where a.value ->> 'role' = 'primary'
  order by a.number limit 1
) p on true
where t.model_id is not null and c.call ->> 'role' = 'fallback';
comment on view failovers is 'Answers of a fallback model, with the reason and the numbers behind the decision. Narrow it by case_id or opened_on.';
comment on column failovers.opened_on is 'UTC day on which the case was opened.';
comment on column failovers.case_id is 'The case.';
comment on column failovers.tenant is 'Whose case it is.';
comment on column failovers.session_id is 'The conversation.';
comment on column failovers.event_id is 'The answer.';
comment on column failovers.event_ts is 'When it answered, by the producer''s clock.';
comment on column failovers.agent is 'The agent that failed over.';
comment on column failovers.reason is 'ttft, projected, error, throttled, truncated, filtered, breaker, hedge_win, budget or policy.';
comment on column failovers.left_vendor is 'The primary''s vendor; null if it was not called at all.';
comment on column failovers.left_model_id is 'The primary; null if it was not called at all.';
comment on column failovers.left_after_ms is 'How long the agent waited for the primary, in milliseconds.';
comment on column failovers.vendor is 'The vendor that answered.';
comment on column failovers.model_id is 'The model that answered.';
comment on column failovers.latency_ms is 'How long the whole call took, in milliseconds.';
comment on column failovers.decision is 'The inputs of the decision.';
create view credential_access as
select
  t.opened_on, t.case_id, t.tenant, t.session_id, t.event_id, t.transition,
  audit.clamped(t.event_ts) as event_ts, audit.clamped(t.recorded_at) as recorded_at,
  t.subject, t.node_from as agent,
  a.value ->> 'audience' as audience,
  array(select jsonb_array_elements_text(audit.elements_of(a.value -> 'scopes'))) as scopes,
  a.value ->> 'grant' as grant_id, a.value ->> 'jti' as jti
from transition t
cross join lateral jsonb_array_elements(audit.elements_of(audit.json_of(t.access))) a
where t.access is not null;
comment on view credential_access is 'Every credential that a step used in a user''s name. Narrow it by subject, case_id or opened_on. It stays when bodies are retired.';
comment on column credential_access.subject is 'The user: the pseudonym of the person whose case it is.';
comment on column credential_access.agent is 'The agent that used it. The bus source was checked against it.';
comment on column credential_access.transition is 'What came of the step.';
comment on column credential_access.audience is 'The service that it was for.';
comment on column credential_access.scopes is 'What it permitted there.';
comment on column credential_access.grant_id is 'The grant that the user had given.';
comment on column credential_access.jti is 'The token''s id at the exchange, which also the service that was read has in its own log.';
create view tokens_by_agent_and_session as
select
  t.opened_on, t.tenant, t.session_id, t.node_from as agent,
  count(*) as answers,
  sum(audit.whole_number(c.call -> 'input_tokens'))::bigint as input_tokens,
  sum(audit.whole_number(c.call -> 'output_tokens'))::bigint as output_tokens,
  sum(audit.whole_number(c.call -> 'loser_tokens'))::bigint as lost_tokens
from transition t
cross join lateral (
  select audit.json_of(t.body) #> '{detail,model_call}' as call offset 0
) c
where t.model_id is not null
group by 1, 2, 3, 4;
comment on view tokens_by_agent_and_session is 'Model tokens by agent and session. Narrow it by opened_on.';
comment on column tokens_by_agent_and_session.opened_on is 'UTC day on which the cases were opened.';
comment on column tokens_by_agent_and_session.tenant is 'Whose session it is.';
comment on column tokens_by_agent_and_session.session_id is 'The conversation.';
comment on column tokens_by_agent_and_session.agent is 'The service that called the model.';
comment on column tokens_by_agent_and_session.answers is 'Agent runs that called a model.';
comment on column tokens_by_agent_and_session.input_tokens is 'Tokens that the answering model read; null once the bodies are retired.';
comment on column tokens_by_agent_and_session.output_tokens is 'Tokens that the answering model wrote; null once the bodies are retired.';
comment on column tokens_by_agent_and_session.lost_tokens is 'Tokens of calls that did not answer; null once the bodies are retired.';
create view latency_by_agent as
select
  t.opened_on, t.tenant, t.node_from as agent,
  count(*) as tasks,
  percentile_disc(0.50) within group (order by s.step_ms) as p50_ms,
  percentile_disc(0.95) within group (order by s.step_ms) as p95_ms,
  percentile_disc(0.99) within group (order by s.step_ms) as p99_ms,
  percentile_disc(0.50) within group (order by t.latency_ms) as model_p50_ms,
  percentile_disc(0.95) within group (order by t.latency_ms) as model_p95_ms,
  percentile_disc(0.99) within group (order by t.latency_ms) as model_p99_ms,
  max(t.latency_ms) as model_max_ms
from transition t
join transition command
  on command.opened_on = t.opened_on and command.case_id = t.case_id and command.transcript_hash = t.parents[1]
cross join lateral (select audit.milliseconds(command.event_ts, t.event_ts) as step_ms) s
where command.node_to = t.node_from and command.time_limit_ms is not null
group by 1, 2, 3;
comment on view latency_by_agent is
  'Time from a command to its result or failure, by the producers'' clocks, queueing included, and the model''s share of it. Percentiles are values that occurred. Narrow it by opened_on.';
comment on column latency_by_agent.opened_on is 'UTC day on which the cases were opened.';
comment on column latency_by_agent.tenant is 'Whose cases they are.';
comment on column latency_by_agent.agent is 'The service that was given the task.';
comment on column latency_by_agent.tasks is 'Tasks with a result or a failure.';
comment on column latency_by_agent.p50_ms is 'Median duration, in milliseconds.';
comment on column latency_by_agent.p95_ms is '95th percentile of the duration, in milliseconds.';
comment on column latency_by_agent.p99_ms is '99th percentile of the duration, in milliseconds.';
comment on column latency_by_agent.model_p50_ms is 'The same for the model calls; null without model calls.';
comment on column latency_by_agent.model_p95_ms is 'The same for the model calls; null without model calls.';
comment on column latency_by_agent.model_p99_ms is 'The same for the model calls; null without model calls.';
comment on column latency_by_agent.model_max_ms is 'The slowest model call; null without model calls.';
create view goal_success as
select
  c.opened_on, c.tenant, c.playbook,
  count(*) as cases,
  count(*) filter (where o.class = 'reached' and c.thumb is distinct from 'down') as reached,
  count(*) filter (where o.class = 'stopped') as stopped,
  count(*) filter (where c.closed and (o.class = 'failed' or c.outcome is null or (o.class = 'reached' and c.thumb = 'down')))
    as failed,
  count(*) filter (where c.outcome is not null and o.class is null) as unclassified,
  count(*) filter (where not c.closed and not c.late) as open,
  count(*) filter (where not c.closed and c.late) as unended,
  count(*) filter (where c.thumb = 'up') as thumbs_up,
  count(*) filter (where c.thumb = 'down') as thumbs_down,
  case when bool_or(c.closed or c.late) and not bool_or(c.outcome is not null and o.class is null) then
    (10000 * count(*) filter (where o.class = 'reached' and c.thumb is distinct from 'down') / count(*) filter (where c.closed or c.late)) end
    as success_bp
from (
  select opened_on, case_id, tenant, playbook, closed, late, case when closed then last_outcome end as outcome, thumb
  from (
    select
      opened_on, case_id, min(tenant) as tenant, split_part(min(playbook_version), '/', 1) as playbook,
      -- A retried case counts by its latest ending.
      count(*) filter (where terminal) > count(*) filter (where transition = 'TaskRetried') as closed,
      min(case_deadline) < clock_timestamp() as late,
      (array_agg(outcome order by seq desc, event_ts desc, recorded_at desc) filter (where terminal))[1] as last_outcome,
      -- The latest word of the person who asked, or of a reviewer.
      (array_agg(case when transition = 'CaseFeedback' then audit.json_of(body) #>> '{detail,payload,thumb}' end
        order by seq desc, recorded_at desc) filter (where transition = 'CaseFeedback'))[1] as thumb
    from transition
    group by opened_on, case_id
    -- A chain without a playbook is no case: a suppressed address, a halted or resumed playbook. A rejected submission
    -- has no playbook either, but it has an outcome.
    having min(playbook_version) <> 'none/0' or bool_or(outcome is not null)
  ) t
) c
left join outcome_class o on o.outcome = c.outcome
group by 1, 2, 3;
comment on view goal_success is 'How many cases reached their goal, by day, tenant and playbook, by the class of the outcome at the case''s end and by feedback: a thumb down makes a goal that was reached a failed one. What else happens after the end does not change it. Suppressed addresses and halted or resumed playbooks are not cases. Narrow it by opened_on.';
comment on column goal_success.opened_on is 'UTC day on which the cases were opened.';
comment on column goal_success.tenant is 'Whose cases they are.';
comment on column goal_success.playbook is 'The playbook, without its version.';
comment on column goal_success.cases is 'Cases opened, and rejected submissions (playbook none).';
comment on column goal_success.reached is 'Ended with an outcome of the class reached, and the latest feedback is no thumb down.';
comment on column goal_success.thumbs_up is 'Cases whose latest feedback is a thumb up.';
comment on column goal_success.thumbs_down is 'Cases whose latest feedback is a thumb down.';
comment on column goal_success.stopped is 'Ended on purpose without reaching the goal.';
comment on column goal_success.failed is 'Ended with an outcome of the class failed, without an outcome, or reached with a thumb down.';
comment on column goal_success.unclassified is 'Ended with an outcome that outcome_class does not have: declare its class.';
comment on column goal_success.open is 'Under way, within their deadline.';
comment on column goal_success.unended is 'Past their deadline without an ending, which is an error.';
comment on column goal_success.success_bp is 'Share of reached in all cases that ended or should have, in basis points (10000 is all); null without such cases, and while an outcome is unclassified.';

-- What dashboards read, so that a month of a large log is one short read: numbers from the bodies, one row per case and one
-- per step. The audit process keeps them; they are no evidence, and can be made again from the log.
create table case_figures (
  opened_on     date not null,
  case_id       uuid not null,
  tenant        text not null,
  playbook      text not null,
  case_deadline timestamptz not null,
  closed        boolean not null,
  outcome       text,
  thumb         text,
  judged        text,
  duration_ms   bigint,
  primary key (opened_on, case_id)
);
comment on table case_figures is 'One row per case, by its latest event that has a log index.';
comment on column case_figures.opened_on is 'As in transition.';
comment on column case_figures.case_id is 'As in transition.';
comment on column case_figures.tenant is 'As in transition.';
comment on column case_figures.playbook is 'Without its version; none for a rejected submission.';
comment on column case_figures.case_deadline is 'As in transition.';
comment on column case_figures.closed is 'Whether it has more endings than retries.';
comment on column case_figures.outcome is 'Of its latest ending; null while it is open.';
comment on column case_figures.thumb is 'The latest feedback.';
comment on column case_figures.judged is 'The latest verdict of a judge, pass or fail: an opinion, and no part of the outcome. Null for a case that was not judged.';
comment on column case_figures.duration_ms is 'From its first event to its latest ending; null without one.';
create table step_figures (
  opened_on     date not null,
  case_id       uuid not null,
  event_id      uuid not null,
  tenant        text not null,
  session_id    text not null,
  agent         text not null,
  step_ms       bigint,
  model_id      text,
  vendor        text,
  role          text,
  reason        text,
  left_vendor   text,
  input_tokens  bigint not null,
  output_tokens bigint not null,
  lost_tokens   bigint not null,
  primary key (opened_on, case_id, event_id)
);
comment on table step_figures is 'One row per event that answers a command, or carries a model call.';
comment on column step_figures.opened_on is 'As in transition.';
comment on column step_figures.case_id is 'As in transition.';
comment on column step_figures.event_id is 'As in transition.';
comment on column step_figures.tenant is 'As in transition.';
comment on column step_figures.session_id is 'As in transition.';
comment on column step_figures.agent is 'The service that emitted the event.';
comment on column step_figures.step_ms is 'From the command to the event; null where a model was called without a command.';
comment on column step_figures.model_id is 'As in transition.';
comment on column step_figures.vendor is 'Of the model that answered.';
comment on column step_figures.role is 'primary or fallback.';
comment on column step_figures.reason is 'Why this model answered.';
comment on column step_figures.left_vendor is 'The primary''s vendor, where a fallback answered; null if it was not called at all.';
comment on column step_figures.input_tokens is 'Tokens that the answering model read.';
comment on column step_figures.output_tokens is 'Tokens that the answering model wrote.';
comment on column step_figures.lost_tokens is 'Tokens of calls whose answer was not used.';
create table figures_cursor (
  log_index    bigint not null,
  refreshed_at timestamptz not null default clock_timestamp(),
  only_row     boolean not null default true primary key check (only_row)
);
insert into figures_cursor (log_index) values (0);
comment on table figures_cursor is 'How far figures have been made. Set to 0, they are made again from the log.';
comment on column figures_cursor.log_index is 'The figures know every entry of the log up to this one.';
comment on column figures_cursor.refreshed_at is 'When it was last set.';
comment on column figures_cursor.only_row is 'There is one row.';

create function refresh_figures(most integer) returns bigint
language plpgsql
set search_path = audit, pg_temp
as $$
declare
  known bigint;
  upto  bigint;
  days  date[];
  ids   uuid[];
begin
  -- One process at a time; another one has nothing to do.
  select c.log_index into known from figures_cursor c for update skip locked;
  select max(e.log_index) into upto
  from (select log_index from log_entry where log_index > known order by log_index limit most) e;
  if upto is null then
    return 0;
  end if;
  -- A case with a new entry is made again as a whole: the order in which entries came does not matter.
  select array_agg(c.opened_on), array_agg(c.case_id) into days, ids
  from (
    select distinct t.opened_on, t.case_id
    from log_entry e join transition t on t.opened_on = e.opened_on and t.event_id = e.event_id
    where e.log_index > known and e.log_index <= upto
  ) c;
  delete from case_figures f using unnest(days, ids) k (opened_on, case_id) where f.opened_on = k.opened_on and f.case_id = k.case_id;
  delete from step_figures f using unnest(days, ids) k (opened_on, case_id) where f.opened_on = k.opened_on and f.case_id = k.case_id;
  insert into case_figures
  select
    opened_on, case_id, tenant, playbook, case_deadline, closed, case when closed then last_outcome end, thumb, judged,
    case when last_end > first_at then audit.milliseconds(first_at, last_end) end
  from (
    select
      t.opened_on, t.case_id, min(t.tenant) as tenant, split_part(min(t.playbook_version), '/', 1) as playbook,
      min(t.case_deadline) as case_deadline,
      count(*) filter (where t.terminal) > count(*) filter (where t.transition = 'TaskRetried') as closed,
      (array_agg(t.outcome order by t.seq desc, t.event_ts desc, t.recorded_at desc) filter (where t.terminal))[1] as last_outcome,
      (array_agg(t.event_ts order by t.seq desc, t.event_ts desc, t.recorded_at desc) filter (where t.terminal))[1] as last_end,
      min(t.event_ts) filter (where t.parents = '{}') as first_at,
      (array_agg(case when t.transition = 'CaseFeedback' then audit.json_of(t.body) #>> '{detail,payload,thumb}' end
        order by t.seq desc, t.recorded_at desc) filter (where t.transition = 'CaseFeedback'))[1] as thumb,
      (array_agg(case when t.transition = 'CaseJudged' then audit.json_of(t.body) #>> '{detail,payload,verdict}' end
        order by t.seq desc, t.recorded_at desc) filter (where t.transition = 'CaseJudged'))[1] as judged
    from unnest(days, ids) k (opened_on, case_id) join transition t on t.opened_on = k.opened_on and t.case_id = k.case_id
    group by t.opened_on, t.case_id
    -- As in goal_success: a chain without a playbook and without an outcome is no case.
    having min(t.playbook_version) <> 'none/0' or bool_or(t.outcome is not null)
  ) c;
  insert into step_figures
  select
    t.opened_on, t.case_id, t.event_id, t.tenant, t.session_id, t.node_from,
    case when command.event_id is not null then audit.milliseconds(command.event_ts, t.event_ts) end, t.model_id, c.call ->> 'vendor', c.call ->> 'role', c.call ->> 'reason',
    case when c.call ->> 'role' = 'fallback' then p.left_vendor end,
    coalesce(audit.whole_number(c.call -> 'input_tokens'), 0), coalesce(audit.whole_number(c.call -> 'output_tokens'), 0),
    coalesce(audit.whole_number(c.call -> 'loser_tokens'), 0)
  from unnest(days, ids) k (opened_on, case_id)
  join transition t on t.opened_on = k.opened_on and t.case_id = k.case_id
  left join transition command
    on command.opened_on = t.opened_on and command.case_id = t.case_id and command.transcript_hash = t.parents[1]
    and command.node_to = t.node_from and command.time_limit_ms is not null
  left join lateral (
    select audit.json_of(t.body) #> '{detail,model_call}' as call where t.model_id is not null offset 0
  ) c on true
  left join lateral (
    select a.value ->> 'vendor' as left_vendor
    from jsonb_array_elements(audit.elements_of(c.call #> '{decision,attempts}')) with ordinality as a (value, number)
    where a.value ->> 'role' = 'primary'
    order by a.number limit 1
  ) p on true
  where t.model_id is not null or command.event_id is not null
  on conflict do nothing;
  update figures_cursor c set log_index = upto, refreshed_at = clock_timestamp();
  return upto - known;
end
$$;
comment on function refresh_figures(integer) is 'Brings the figures up to so many more entries of the log; how many there were.';
revoke execute on function refresh_figures(integer) from public;

create function comment_pass_through_columns() returns void
language plpgsql
set search_path = audit, pg_temp
as $$
declare
  of record;
begin
  for of in
    select v.relname as view, a.attname as name, d.description
    from pg_class v
    join pg_attribute a on a.attrelid = v.oid and a.attnum > 0
    join pg_attribute s on s.attrelid = 'transition'::regclass and s.attname = a.attname
    join pg_description d on d.objoid = s.attrelid and d.objsubid = s.attnum and d.classoid = 'pg_class'::regclass
    where v.relnamespace = 'audit'::regnamespace and v.relkind = 'v' and col_description(v.oid, a.attnum) is null
  loop
    execute format('comment on column %I.%I is %L', of.view, of.name, of.description);
  end loop;
end
$$;
comment on function comment_pass_through_columns() is
  'Gives each view column without a comment the comment of the column of transition with its name.';
revoke execute on function comment_pass_through_columns() from public;
select comment_pass_through_columns();

select ensure_partitions();
