create table subject_key (
  subject     uuid primary key,
  tenant      text not null,
  fingerprint bytea not null,
  wrapped_key bytea not null,
  external_id bytea not null,
  created_at  timestamptz not null default clock_timestamp(),
  unique (tenant, fingerprint)
);
comment on table subject_key is 'One key per person. Deleting a row erases everything that is sealed under it, everywhere.';
comment on column subject_key.subject is 'The pseudonym that events carry.';
comment on column subject_key.fingerprint is 'Keyed hash (HMAC-SHA-256) of tenant and external id; the key is the case manager''s.';
comment on column subject_key.wrapped_key is 'The person''s AES-256 key, wrapped by KMS or, in the local stack, by a local key.';
comment on column subject_key.external_id is 'Who it is, encrypted under that same key.';

create table erased_subject (
  subject   uuid primary key,
  tenant    text not null,
  erased_by text not null check (length(erased_by) between 1 and 200),
  reason    text not null check (length(reason) between 1 and 2000),
  erased_at timestamptz not null default clock_timestamp()
);
comment on table erased_subject is 'Whose key was destroyed. Written in the transaction that deletes the key, so that an erasure that was interrupted is finished and not forgotten. Append-only.';
comment on column erased_subject.subject is 'The pseudonym that events carry.';
comment on column erased_subject.tenant is 'Whose customer it was.';
comment on column erased_subject.erased_by is 'The operator.';
comment on column erased_subject.reason is 'Why, without personal data.';
comment on column erased_subject.erased_at is 'By this database''s clock.';

create function refuse_change() returns trigger
language plpgsql as $$
begin
  raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, lower(tg_op);
end
$$;
comment on function refuse_change() is 'Makes a table append-only for everyone, its owner included.';
create trigger append_only before update or delete on erased_subject for each row execute function refuse_change();
create trigger append_only_truncate before truncate on erased_subject for each statement execute function refuse_change();
alter table erased_subject enable always trigger append_only;
alter table erased_subject enable always trigger append_only_truncate;

-- Only the vault's owner reads the table of keys. Roles get one key at a time, from these functions.

create table card (
  node      text not null,
  artefact  text not null,
  playbooks text[] not null,
  observes  boolean not null default false,
  primary key (node, artefact)
);
comment on table card is 'What each agent''s card decrypts, and the playbooks that give it tasks. Written by every migration.';
comment on column card.observes is 'Whether the agent observes: it gets keys of cases that are over, and of no others.';

create function find_subject(of_tenant text, of_person bytea) returns table (subject uuid, wrapped_key bytea)
language sql stable security definer rows 1 set search_path = vault, pg_temp as $$
  select k.subject, k.wrapped_key from subject_key k where k.tenant = of_tenant and k.fingerprint = of_person
$$;
comment on function find_subject is 'A person''s pseudonym and key, for intake. The fingerprint needs the case manager''s key: a caller without it finds no person.';

create function add_subject(new_subject uuid, of_tenant text, of_person bytea, wrapped bytea, named bytea)
returns table (subject uuid, wrapped_key bytea)
language sql security definer rows 1 set search_path = vault, pg_temp as $$
  insert into subject_key as k (subject, tenant, fingerprint, wrapped_key, external_id)
  values (new_subject, of_tenant, of_person, wrapped, named)
  on conflict (tenant, fingerprint) do update set tenant = excluded.tenant
  returning k.subject, k.wrapped_key
$$;
comment on function add_subject is 'Add a person unless somebody else was first; the pseudonym and key that count.';

create function has_key(the_subject uuid) returns boolean
language sql stable security definer set search_path = vault, pg_temp as $$
  select exists (select from subject_key where subject = the_subject)
$$;
comment on function has_key is 'Whether a person''s key was not erased.';

create function key_for_task(the_case uuid, the_artefact text)
returns table (subject uuid, wrapped_key bytea, problem text)
language plpgsql stable security definer rows 1 set search_path = vault, pg_temp as $$
declare
  facts record;
  observed boolean;
  open_task boolean := false;
begin
  select s.subject, s.playbook, s.facts, exists (select from case_manager.latest_ending e where e.case_id = the_case)
      or exists (select from case_manager.control where kind = 'cancelled_case' and key = the_case::text) as over
    into facts from case_manager.submission s where s.case_id = the_case;
  -- `session_user` is who logged in; inside this function `current_user` is the vault's owner.
  select c.observes into observed from card c
    where c.node = session_user and c.artefact = the_artefact and facts.playbook = any(c.playbooks);
  if observed is null then
    return query select null::uuid, null::bytea, 'not_on_card';
    return;
  end if;
  if not case_manager.in_scope(facts.facts) then
    return query select null::uuid, null::bytea, 'out_of_scope';
    return;
  end if;
  if facts.over <> observed then
    return query select null::uuid, null::bytea, case when facts.over then 'case_over' else 'case_open' end;
    return;
  end if;
  execute format(
    'select exists (select from %I.inbox where case_id = $1 and outputs is null and lease_until > clock_timestamp())',
    session_user
  ) into open_task using the_case;
  if not open_task then
    return query select null::uuid, null::bytea, 'no_open_task';
    return;
  end if;
  return query select k.subject, k.wrapped_key, null::text from subject_key k where k.subject = facts.subject;
end $$;
comment on function key_for_task is 'The key of the person whom an open case is about, or for an observer one that is over, for an agent in that case''s scope that has a task of it and whose card decrypts such an artefact; else a problem; no row if the key was erased.';

create function key_for_review(the_case uuid) returns table (subject uuid, wrapped_key bytea, problem text)
language sql stable security definer rows 1 set search_path = vault, pg_temp as $$
  select k.subject, k.wrapped_key, null::text
  from case_manager.submission s join subject_key k on k.subject = s.subject where s.case_id = the_case
$$;
comment on function key_for_review is 'The key of the person whom one case is about, for a reviewer who knows the case.';

create function subject_of(of_tenant text, of_person bytea) returns uuid
language sql stable security definer set search_path = vault, pg_temp as $$
  select subject from subject_key where tenant = of_tenant and fingerprint = of_person
$$;
comment on function subject_of is 'A person''s pseudonym, for the API. The fingerprint needs the key of persons: a caller without it finds no person.';

create function key_for_answer(the_case uuid, of_person bytea) returns table (subject uuid, wrapped_key bytea, problem text)
language sql stable security definer rows 1 set search_path = vault, pg_temp as $$
  select k.subject, k.wrapped_key, null::text
  from case_manager.submission s join subject_key k on k.subject = s.subject
  where s.case_id = the_case and k.fingerprint = of_person
    -- Users ask through the ingress; what a system submits is about a person who did not.
    and s.facts::json #>> '{pinned,principal,sub}' = 'service:upstream.ingress'
$$;
comment on function key_for_answer is 'The key of the person who asked a case through the ingress, for the API, which must know their name.';

revoke execute on all functions in schema vault from public;
