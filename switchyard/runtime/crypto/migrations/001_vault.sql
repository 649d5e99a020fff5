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
comment on column subject_key.wrapped_key is 'The person''s AES-256 key, wrapped by KMS or, on a laptop, by a local key.';
comment on column subject_key.external_id is 'Who it is, encrypted under that same key.';
