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
  'What reached audit and cannot be right, kept with the reason. Append-only, like the log.';
comment on column integrity_alarm.alarm_id is 'In the order of recording; gaps mean nothing.';
comment on column integrity_alarm.kind is
  'forged_source, forged_type, digest_mismatch, malformed, unstorable: not in the log. unknown_type, not_in_catalogue: in the log as well. duplicate_differs: the log has another event of this id.';
comment on column integrity_alarm.event_id is 'The event''s id as it claims; null if it has none.';
comment on column integrity_alarm.case_id is 'The case as the event claims; null if it has none.';
comment on column integrity_alarm.reason is 'What is wrong, for people; never payload text.';
comment on column integrity_alarm.field is 'The field at fault, as a dotted path; null if it is the whole.';
comment on column integrity_alarm.body is
  'The SQS message body, verbatim. Null if it came from an upstream source, whose plain payload must not be kept here.';
comment on column integrity_alarm.body_sha256 is 'SHA-256 of the body: a redelivery raises no second alarm.';
comment on column integrity_alarm.recorded_at is 'When it was written here, by this database''s clock.';

create trigger append_only before update or delete on integrity_alarm
  for each row execute function refuse_change();
create trigger append_only_truncate before truncate on integrity_alarm
  for each statement execute function refuse_change();
alter table integrity_alarm enable always trigger append_only;
alter table integrity_alarm enable always trigger append_only_truncate;
