create table erasure_receipt (
  receipt_id  uuid primary key,
  subject     uuid not null,
  statement   text not null check (statement is json object),
  key         text not null,
  signature   bytea not null,
  recorded_at timestamptz not null default clock_timestamp(),
  unique (subject)
);
comment on table erasure_receipt is 'Persons whose key was destroyed: what is sealed under it in the log, in S3 and in queues is unreadable for ever, and the chain still verifies. Append-only.';
comment on column erasure_receipt.receipt_id is 'Follows from the subject: an erasure that is repeated has one receipt.';
comment on column erasure_receipt.subject is 'The person''s pseudonym, as in transition.subject.';
comment on column erasure_receipt.statement is 'What is signed, verbatim: canonical JSON saying what, when, by whom, why, and when the last copies are gone.';
comment on column erasure_receipt.key is 'The key that signed: SHA-256 of its public half, which is kept outside this database.';
comment on column erasure_receipt.signature is 'Over the SHA-256 of the statement.';
comment on column erasure_receipt.recorded_at is 'By this database''s clock.';

create trigger append_only before update or delete on erasure_receipt for each row execute function refuse_change();
create trigger append_only_truncate before truncate on erasure_receipt for each statement execute function refuse_change();
alter table erasure_receipt enable always trigger append_only;
alter table erasure_receipt enable always trigger append_only_truncate;
