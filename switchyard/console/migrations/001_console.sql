-- Who opened what was sealed. The console reads everything else elsewhere.

create table disclosure (
  disclosure_id bigint generated always as identity primary key,
  case_id       uuid,
  artefact      text not null,
  sha256        text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  opened_by     text not null check (length(opened_by) between 1 and 150),
  reason        text not null check (length(reason) between 1 and 2000),
  opened_at     timestamptz not null default clock_timestamp()
);
create index disclosure_case on disclosure (case_id, opened_at);
comment on table disclosure is 'One row per sealed artefact or refused message that a person opened, written before it is shown. Append-only.';
comment on column disclosure.case_id is 'Null for a refused message, which belongs to no case.';
comment on column disclosure.artefact is 'Its name in the event; of a refused message, message/ and who refused it.';
comment on column disclosure.sha256 is 'Of the sealed bytes, as the event names them; of a refused message, of its bytes.';
comment on column disclosure.opened_by is 'The user that the identity provider named.';
comment on column disclosure.opened_at is 'By this database''s clock.';

-- Effects with an unknown outcome. The application's service that performs effects puts its own in the place of these,
-- which know of none.
create view unresolved_effect as
select null::uuid as case_id, null::text as content_sha256, null::timestamptz as intended_at, null::text as ended_as
where false;
comment on view unresolved_effect is 'Effects whose outcome is unknown, which a person resolves. The service that performs them defines it.';

create function request_resolution(
  id uuid, the_case uuid, content text, message_id text, who text, how text, signed timestamptz, signature text
) returns void
language plpgsql as $$ begin raise check_violation using message = 'no service has effects to resolve'; end $$;
comment on function request_resolution is 'Hand in a signed resolution of an unresolved effect.';

create function resolution_result(id uuid) returns text language sql stable as $$ select null::text $$;
comment on function resolution_result is 'What became of a resolution; null while it is open.';

create table wide_check (
  run_id     bigint generated always as identity primary key,
  kind       text not null check (kind in ('rows', 'checkpoints', 'published')),
  started_by text not null check (length(started_by) between 1 and 150),
  started_at timestamptz not null default clock_timestamp(),
  seen_at    timestamptz not null default clock_timestamp(),
  compared   bigint not null default 0,
  stopped_by text,
  ended_at   timestamptz,
  result     text
);
comment on table wide_check is 'Comparisons of the whole log that somebody started on a page: one at a time in a deployment.';
comment on column wide_check.kind is 'rows: digests, chains and signatures. checkpoints: against those in S3. published: with what producers stored.';
comment on column wide_check.seen_at is 'When its process last said that it runs; long ago without an end: it was killed.';
comment on column wide_check.compared is 'Rows or cases so far.';
comment on column wide_check.stopped_by is 'Who asked it to stop.';
comment on column wide_check.result is 'JSON: whether the log holds, in words, and the first findings.';
