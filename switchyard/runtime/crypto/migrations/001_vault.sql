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
