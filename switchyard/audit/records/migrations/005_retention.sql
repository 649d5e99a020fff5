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
comment on table retention_policy is 'How long the cases of a playbook are kept, and whether the law says so. The latest row that is in force counts; a playbook without one keeps everything. Append-only.';
comment on column retention_policy.playbook is 'The first part of playbook_version.';
comment on column retention_policy.effective_from is 'From when it counts.';
comment on column retention_policy.keep_for is 'How long the bodies stay after the case''s last event was recorded.';
comment on column retention_policy.duty_for is 'How long the law wants them kept: no retirement and no erasure before; null if there is no such duty.';
comment on column retention_policy.duty_counts_from is 'Transitions that start the duty anew, in any case of the playbook about the same person; empty: the last event of any kind.';
comment on column retention_policy.citation is 'Where that is written, or who decided it.';
comment on column retention_policy.set_by is 'Who set it.';

-- What counts as collection activity is an email that went out, or may have. A case in which none did counts from its
-- last event: what was drafted and blocked is evidence of compliance, too.
insert into retention_policy (playbook, effective_from, keep_for, duty_for, duty_counts_from, citation, set_by) values
  ('assist', '-infinity', '1 year', null, '{}',
   'No statutory duty; kept for a year to answer for the assistant''s answers.', 'migration'),
  ('none', '-infinity', '3 years', null, '{}',
   'Refused submissions, and what stopped an address or a playbook: kept as long as the emails that it stopped.', 'migration'),
  ('outbound_email', '-infinity', '3 years', '3 years', '{EmailSent,SendingUnknown,SendingResolved}',
   '12 CFR 1006.100(a): until three years after the last collection activity on the debt.', 'migration');

create table legal_hold (
  hold_id   uuid primary key default gen_random_uuid(),
  case_id   uuid not null,
  reason    text not null check (length(reason) between 1 and 2000),
  placed_by text not null check (length(placed_by) between 1 and 200),
  placed_at timestamptz not null default clock_timestamp()
);
create index legal_hold_case on legal_hold (case_id);
comment on table legal_hold is 'Cases of which nothing may be retired or erased, whatever the policy says. Append-only: a release is a row of legal_hold_release.';
comment on column legal_hold.hold_id is 'Identity of the hold; a case may have several.';
comment on column legal_hold.case_id is 'The case.';
comment on column legal_hold.reason is 'Why, for people.';
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
comment on column legal_hold_release.reason is 'Why, for people.';
comment on column legal_hold_release.released_by is 'The operator.';
comment on column legal_hold_release.released_at is 'By this database''s clock.';

create view active_hold as
select hold_id, case_id, reason, placed_by, placed_at
from legal_hold h
where not exists (select from legal_hold_release r where r.hold_id = h.hold_id);
comment on view active_hold is 'Holds that were not released.';

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
comment on table retention_receipt is 'What is left of the bodies of a case: which there were, under which policy they went, and a signature. Append-only.';
comment on column retention_receipt.opened_on is 'UTC day on which the case was opened.';
comment on column retention_receipt.case_id is 'The case.';
comment on column retention_receipt.part is 'From 1; a case whose events came in after its retirement is retired again.';
comment on column retention_receipt.statement is 'What is signed, verbatim: canonical JSON with id, digest, parents, SHA-256 of the body and of the other columns of each event.';
comment on column retention_receipt.key is 'The key that signed: SHA-256 of its public half, which is kept outside this database.';
comment on column retention_receipt.signature is 'Over the SHA-256 of the statement; the key''s kind decides the algorithm.';
comment on column retention_receipt.recorded_at is 'By this database''s clock.';

create view retired_event as
select
  r.opened_on, r.case_id, r.part,
  (e.value ->> 'event_id')::uuid as event_id,
  e.value ->> 'digest' as transcript_hash,
  array(select jsonb_array_elements_text(e.value -> 'parents')) as parents,
  e.value ->> 'body_sha256' as body_sha256
from retention_receipt r
cross join lateral jsonb_array_elements(r.statement::jsonb -> 'events') e;
comment on view retired_event is 'The events whose bodies are gone, as their receipts name them. They stay here when their partition is dropped.';

create table artefact_removal (
  opened_on  date not null,
  case_id    uuid not null,
  part       integer not null,
  removed_at timestamptz not null default clock_timestamp(),
  primary key (opened_on, case_id, part),
  foreign key (opened_on, case_id, part) references retention_receipt
);
comment on table artefact_removal is 'Receipts whose case''s artefacts were deleted from S3, after its bodies were gone. A receipt without a row here is swept by the next run. Append-only.';
comment on column artefact_removal.opened_on is 'Of the receipt.';
comment on column artefact_removal.case_id is 'Of the receipt.';
comment on column artefact_removal.part is 'Of the receipt.';
comment on column artefact_removal.removed_at is 'By this database''s clock.';

create table partition_drop (
  partition_name text primary key,
  cases          bigint not null,
  events         bigint not null,
  dropped_by     text not null default session_user,
  dropped_at     timestamptz not null default clock_timestamp()
);
comment on table partition_drop is 'Partitions that were dropped, each after every case in it had its receipt. Append-only.';
comment on column partition_drop.partition_name is 'The partition: transition_ and its month.';
comment on column partition_drop.cases is 'How many cases it held.';
comment on column partition_drop.events is 'How many rows it held.';
comment on column partition_drop.dropped_by is 'The database role.';
comment on column partition_drop.dropped_at is 'By this database''s clock.';

do $$
declare name text;
begin
  foreach name in array array['retention_policy', 'legal_hold', 'legal_hold_release', 'retention_receipt', 'artefact_removal', 'partition_drop'] loop
    execute format('create trigger append_only before update or delete on %I for each row execute function refuse_change()', name);
    execute format('create trigger append_only_truncate before truncate on %I for each statement execute function refuse_change()', name);
    execute format('alter table %I enable always trigger append_only', name);
    execute format('alter table %I enable always trigger append_only_truncate', name);
  end loop;
end
$$;

-- Whoever counts holds, and whoever places one, go one after the other: a hold is never a moment too late.
create function one_at_a_time() returns void
language sql
set search_path = audit, pg_temp
as $$ select pg_advisory_xact_lock(hashtextextended('audit.retention', 0)) $$;
comment on function one_at_a_time() is 'Held to the end of the transaction by whoever places a hold, retires a case or erases a person.';

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
    held.holds,
    case when c.closed and held.holds = 0 and p.playbook is not null
      then greatest(c.last_recorded + p.keep_for, greatest(own.last_at, others.last_at) + p.duty_for)
      else 'infinity' end
  from (
    select split_part(min(t.playbook_version), '/', 1) as playbook, min(t.tenant) as tenant,
      (array_agg(t.subject))[1] as subject, max(t.recorded_at) as last_recorded,
      -- A retry undoes an ending: see tries.py.
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
  -- An activity that the policy names, or if there was none of these, the case's last event.
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
  cross join lateral (select count(*) as holds from active_hold h where h.case_id = the_case) held
$$;
comment on function case_retention(date, uuid) is
  'When a case may be retired, and why not before: infinity while it is open, held, or its playbook has no policy.';
create index transition_subject on transition (subject, tenant) where parents = '{}' and subject is not null;

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
comment on function admit_receipt() is 'The policy, the duty and the holds are the database''s to enforce, whoever holds the retention role.';
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
  'The one change that the log allows: a body goes, nothing else changes, a receipt names this very body, and no hold stands.';

alter table transition alter column body drop not null;
comment on column transition.body is 'The SQS message body, verbatim: the EventBridge event with the envelope as its detail. Personal fields in it are sealed. Null once it is retired: retention_receipt says what it was.';
drop trigger append_only on transition;
create trigger append_only before delete on transition for each row execute function refuse_change();
create trigger append_only_update before update on transition for each row execute function refuse_all_but_retirement();
alter table transition enable always trigger append_only;
alter table transition enable always trigger append_only_update;

create function drop_partition(name text)
returns text
language plpgsql
-- Definer: only the owner may drop, and only what this function has looked at.
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
  -- The long look is without a lock: nothing takes back a receipt, or gives a retired row its body again. Each receipt is
  -- opened once.
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
  -- What came in since: rows, or a hold.
  execute format(
    'select count(*), count(*) filter (where t.body is not null or exists (select from active_hold h where h.case_id = t.case_id))
     from %I t', name) into found, left_over;
  if left_over > 0 or found <> events then
    return 'kept';
  end if;
  insert into partition_drop (partition_name, cases, events) values (name, cases, events);
  execute format('alter table transition detach partition %I', name);
  execute format('drop table %I', name);
  return 'dropped';
end
$$;
comment on function drop_partition(text) is
  'Drops a month of which every event has its receipt and no case is held: dropped; kept, if something is left; busy, to be tried again.';
revoke execute on function drop_partition(text), case_retention(date, uuid), one_at_a_time() from public;
