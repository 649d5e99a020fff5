create extension if not exists vector;

create table turn (
  case_id    uuid primary key,
  tenant     text not null default scope('tenant'),
  user_id    text not null default scope('user'),
  session_id text not null default scope('session'),
  number     integer not null,
  question   jsonb not null,
  answer     jsonb not null,
  digest     text not null check (digest ~ '^[0-9a-f]{64}$'),
  kept_at    timestamptz not null,
  expires_at timestamptz not null
);
create index turn_session on turn (tenant, user_id, session_id, number desc);
create index turn_user on turn (user_id);
create index turn_expires on turn (expires_at);
comment on table turn is 'The answered turns of sessions: one row per turn. Older ones make room, and all expire.';
comment on column turn.number is 'Its place in the session, from 1.';
comment on column turn.question is 'The artefact and where its bytes are: ciphertext under the user''s key, as intake sealed it.';
comment on column turn.answer is 'The same of the answer, as the drafter sealed it.';
comment on column turn.digest is 'Of the event that said that the turn was answered.';

create table fact (
  fact_id     uuid primary key,
  tenant      text not null default scope('tenant'),
  user_id     text not null default scope('user'),
  kind        text not null check (kind in ('slot', 'note')),
  predicate   text not null,
  case_id     uuid not null,
  event_id    uuid not null,
  digest      text not null check (digest ~ '^[0-9a-f]{64}$'),
  source     text not null default 'user' check (source = 'user'),
  trust       text not null check (trust in ('stated', 'read')),
  quarantined boolean not null default false,
  sealed      jsonb not null,
  embedder    text,
  vector      vector(256),
  uses        integer not null default 0,
  kept_at     timestamptz not null,
  expires_at  timestamptz not null,
  check ((vector is null) = (embedder is null))
);
create unique index fact_slot on fact (tenant, user_id, predicate) where kind = 'slot';
create index fact_user on fact (user_id);
create index fact_expires on fact (expires_at);
comment on table fact is 'What users said of themselves, across sessions. Few rows per user, read whole: no index keeps a vector after its row.';
comment on column fact.predicate is 'The slot''s name: a user has one value for each; `note` for a free note.';
comment on column fact.event_id is 'The command with the question in which they said it; `digest` is its digest.';
comment on column fact.trust is '`stated`: a rule read it; `read`: a model did, and it is in the question word for word.';
comment on column fact.quarantined is 'It reads like an order: never recalled.';
comment on column fact.sealed is 'Ciphertext under the user''s key, and the artefact that names it.';
comment on column fact.vector is 'Personal data that no key seals: deleted with its row.';

create table forgotten (
  id           uuid primary key,
  tenant       text not null,
  kind         text not null,
  digest       text not null check (digest ~ '^[0-9a-f]{64}$'),
  reason       text not null,
  command_id   uuid,
  person       uuid,
  forgotten_at timestamptz not null default clock_timestamp()
);
comment on table forgotten is 'What was deleted and has no event yet: ids and digests. A row goes when its MemoryForgotten is in the outbox.';

create table forget_request (
  command_id  uuid primary key,
  target      uuid not null,
  operator    text not null,
  reason      text not null,
  signed_at   timestamptz not null,
  signature   text not null,
  received_at timestamptz not null default clock_timestamp(),
  decided_at  timestamptz,
  result      text,
  -- These are fields of an event and must fit its contract.
  check (operator ~ '^[!-~]{1,150}$' and length(reason) <= 2000 and signature ~ '^[0-9a-f]{128}$'),
  check (extract(year from signed_at) between 2000 and 9000)
);
create index forget_request_open on forget_request (received_at) where decided_at is null;
comment on table forget_request is 'Whom operators want forgotten, signed. A row has no effect before memory has verified its signature.';
comment on column forget_request.target is 'The person''s pseudonym.';

-- Outside every task's scope: what has expired of every user, and all of one person.
create policy expired on turn using (scope('tenant') is null and expires_at < scope('expired_before')::timestamptz);
create policy expired on fact using (scope('tenant') is null and expires_at < scope('expired_before')::timestamptz);
create policy person on turn using (scope('tenant') is null and user_id = scope('person'));
create policy person on fact using (scope('tenant') is null and user_id = scope('person'));

create function forget_person(the_person uuid, why text, by_command uuid, only_id uuid default null) returns integer
language plpgsql set search_path = memory, pg_temp as $$
declare
  gone integer;
begin
  perform set_config('switchyard.person', the_person::text, true);
  with facts as (
    delete from fact where user_id = the_person::text and (only_id is null or fact_id = only_id)
    returning fact_id as id, tenant, kind, digest
  ),
  turns as (
    delete from turn where user_id = the_person::text and (only_id is null or case_id = only_id)
    returning case_id as id, tenant, 'turn' as kind, digest
  ),
  gone_now as (
    insert into forgotten (id, tenant, kind, digest, reason, command_id, person)
    select id, tenant, kind, digest, why, by_command, the_person from (select * from facts union all select * from turns) all_of
    on conflict (id) do nothing
    returning id
  )
  select count(*) into gone from gone_now;
  perform set_config('switchyard.person', '', true);
  return gone;
end $$;
comment on function forget_person is 'Delete all that is remembered of a person, or one thing, with the rights of the caller; how many things that were.';

create function erase_person(the_person uuid) returns integer
language sql security definer set search_path = memory, pg_temp as $$
  select forget_person(the_person, 'erased', null)
$$;
comment on function erase_person is 'For the erasure of a person, in the transaction that destroys their key.';

create function remembered(the_person uuid) returns table (
  id uuid, kind text, predicate text, case_id uuid, event_id uuid, digest text, trust text, quarantined boolean,
  uses integer, kept_at timestamptz, expires_at timestamptz
)
language plpgsql security definer set search_path = memory, pg_temp as $$
begin
  perform set_config('switchyard.person', the_person::text, true);
  return query
    select f.fact_id, f.kind, f.predicate, f.case_id, f.event_id, f.digest, f.trust, f.quarantined, f.uses, f.kept_at,
      f.expires_at
    from fact f where f.user_id = the_person::text
    union all
    select t.case_id, 'turn', t.session_id, t.case_id, null, t.digest, 'stated', false, 0, t.kept_at, t.expires_at
    from turn t where t.user_id = the_person::text
    order by 10, 1;
  perform set_config('switchyard.person', '', true);
end $$;
comment on function remembered is 'What is remembered of a person, without what it says: for operators.';

create function sealed_memory(the_person uuid) returns table (id uuid, part text, case_id uuid, sealed text)
language plpgsql security definer set search_path = memory, pg_temp as $$
begin
  perform set_config('switchyard.person', the_person::text, true);
  return query
    select f.fact_id, 'value', f.case_id, f.sealed::text from fact f where f.user_id = the_person::text
    union all
    select t.case_id, 'question', t.case_id, t.question::text from turn t where t.user_id = the_person::text
    union all
    select t.case_id, 'answer', t.case_id, t.answer::text from turn t where t.user_id = the_person::text;
  perform set_config('switchyard.person', '', true);
end $$;
comment on function sealed_memory is 'The ciphertext of what is remembered of a person: for a reviewer, who gets the key by case.';

create function remembered_by(of_tenant text, of_person bytea) returns table (
  id uuid, kind text, predicate text, case_id uuid, trust text, quarantined boolean, uses integer,
  kept_at timestamptz, expires_at timestamptz
)
language plpgsql security definer set search_path = memory, pg_temp as $$
begin
  return query
    select r.id, r.kind, r.predicate, r.case_id, r.trust, r.quarantined, r.uses, r.kept_at, r.expires_at
    from remembered(vault.subject_of(of_tenant, of_person)) r;
end $$;
comment on function remembered_by is 'What is remembered of a user, for the API. The fingerprint needs the key of persons: a caller without it finds no person.';

create function sealed_memory_by(of_tenant text, of_person bytea, the_id uuid) returns table (
  part text, case_id uuid, sealed text
)
language plpgsql security definer set search_path = memory, pg_temp as $$
begin
  return query
    select s.part, s.case_id, s.sealed from sealed_memory(vault.subject_of(of_tenant, of_person)) s where s.id = the_id;
end $$;
comment on function sealed_memory_by is 'The ciphertext of one memory of a user, for the API, which gets the key of a case that they asked.';

create function request_forgetting(
  id uuid, person uuid, who text, why text, signed timestamptz, signature text
) returns void
language sql security definer set search_path = memory, pg_temp as $$
  insert into forget_request (command_id, target, operator, reason, signed_at, signature)
  values (id, person, who, why, signed, signature)
$$;
comment on function request_forgetting is 'Hand in a signed command to forget a person. A repeated id is refused.';

create function forgetting_result(id uuid) returns text
language sql stable security definer set search_path = memory, pg_temp as $$
  select result from forget_request where command_id = id
$$;
comment on function forgetting_result is 'What memory made of a command; null while it is open.';

revoke execute on function
  forget_person(uuid, text, uuid, uuid), erase_person(uuid), remembered(uuid), sealed_memory(uuid),
  remembered_by(text, bytea), sealed_memory_by(text, bytea, uuid),
  request_forgetting(uuid, uuid, text, text, timestamptz, text), forgetting_result(uuid)
from public;
