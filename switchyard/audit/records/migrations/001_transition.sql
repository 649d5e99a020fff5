-- The log. One row per event that the bus delivered; the text as received, and columns that are projections of it.
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
  playbook_version   text not null,
  code_version    text,
  prompt_version  text,
  model_id        text,
  latency_ms      bigint,
  rubric_score    integer,
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
  body            text not null,
  primary key (opened_on, event_id)
) partition by range (opened_on);

create index transition_case on transition (case_id, seq, ordinal);
create index transition_opened on transition (opened_on, event_ts) where parents = '{}';
create index transition_session on transition (tenant, session_id) where parents = '{}';
create index transition_ended on transition (opened_on, outcome) where terminal;

comment on table transition is
  'One row per transition of a case. Append-only: nobody may update, delete or truncate. The body is the evidence, every other column but recorded_at is read from it and can be checked against it.';
comment on column transition.opened_on is 'UTC day on which the case was opened; the same in every event of the case. Partition key.';
comment on column transition.event_id is 'Identity of the event. A redelivery has the same one and is dropped.';
comment on column transition.case_id is 'The case.';
comment on column transition.tenant is 'Whose case it is.';
comment on column transition.session_id is 'The conversation that the case belongs to.';
comment on column transition.principal_sub is 'On whose behalf the case runs: the subject claim, never a token.';
comment on column transition.subject is 'Pseudonym of the person the case is about: the name of their sealing key.';
comment on column transition.node_from is 'The service that emitted the event. The bus source was checked against it.';
comment on column transition.node_to is 'The service that the event is for; external if none of ours.';
comment on column transition.transition is 'The event''s type, which is the transition''s label.';
comment on column transition.type_version is 'Version of the type''s contract.';
comment on column transition.seq is 'Greatest seq of the parents plus one, 0 for the first event; for reading.';
comment on column transition.ordinal is 'Which of the children of its cause this is, from 0.';
comment on column transition.siblings is 'How many children of its cause there are, this one included.';
comment on column transition.parents is 'transcript_hash of each event that caused this one; empty for the first event of a case.';
comment on column transition.transcript_hash is
  'SHA-256, in hex, over the RFC 8785 form of the event without digest, occurred_at, trace and storage_refs. It covers the parents'' hashes, so a case is a hash chain.';
comment on column transition.playbook_version is 'The playbook version that the case is pinned to.';
comment on column transition.code_version is 'Revision of the producer, if the event says it.';
comment on column transition.prompt_version is 'Version of the prompt that the model was given; null without a model call.';
comment on column transition.model_id is 'The model that answered; null without a model call.';
comment on column transition.latency_ms is 'How long the model call took, in milliseconds; null without a model call.';
comment on column transition.rubric_score is 'Judge''s score in basis points, 0 to 10000; null if nothing was judged.';
comment on column transition.time_limit_ms is 'How long one attempt at the task may take, in milliseconds; null if it is no task.';
comment on column transition.case_deadline is 'When the case must have ended.';
comment on column transition.terminal is 'Whether the event ends its case, by the catalogue that audit had when it recorded it.';
comment on column transition.outcome is 'How the case ended; null unless terminal.';
comment on column transition.catalogued is 'Whether audit''s catalogue had the type, its version and this producer and consumer when it was recorded.';
comment on column transition.event_ts is 'When the producer says that it happened: a claim.';
comment on column transition.source is 'EventBridge source: switchyard. and the producer, enforced by IAM.';
comment on column transition.bus_id is 'EventBridge''s id of this delivery: a claim; a producer''s retry gets a new one.';
comment on column transition.bus_ts is 'When EventBridge says that it took the event, in whole seconds: a claim.';
comment on column transition.recorded_at is 'When it was written here, by this database''s clock, which the writer cannot set: evidence.';
comment on column transition.body is 'The SQS message body, verbatim: the EventBridge event with the envelope as its detail. Personal fields in it are sealed.';

create function refuse_change() returns trigger
language plpgsql as $$
begin
  raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, lower(tg_op)
    using hint = 'A correction is a new event, never a change of a recorded one.';
end
$$;
comment on function refuse_change() is 'Makes a table append-only for everyone, its owner included.';

create trigger append_only before update or delete on transition
  for each row execute function refuse_change();
create trigger append_only_truncate before truncate on transition
  for each statement execute function refuse_change();
-- Always: also in a session that has set session_replication_role to replica.
alter table transition enable always trigger append_only;
alter table transition enable always trigger append_only_truncate;

create table transition_default partition of transition default;
create trigger append_only_truncate before truncate on transition_default
  for each statement execute function refuse_change();
alter table transition_default enable always trigger append_only_truncate;
comment on table transition_default is
  'Catches cases opened in a month without a partition. Empty unless partitions were not created ahead, which is an alarm.';

create function ensure_partitions(months_ahead integer default 3)
returns table (partition_name text, state text)
language plpgsql
-- Definer: the writer may have partitions made, and may not otherwise change the schema.
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
  'Makes the partitions of this month and the next ones that are missing: created; busy, to be tried again; or blocked, because rows of that month are in transition_default already.';
revoke execute on function ensure_partitions(integer) from public;

select ensure_partitions();
