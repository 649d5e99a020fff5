create table turn (
  case_id    uuid primary key,
  tenant     text not null default scope('tenant'),
  user_id    text not null default scope('user'),
  session_id text not null default scope('session'),
  number     integer not null,
  question   jsonb not null,
  answer     jsonb not null,
  digest     text not null,
  kept_at    timestamptz not null,
  expires_at timestamptz not null
);
create index turn_session on turn (tenant, user_id, session_id, number desc);
create index turn_expires on turn (expires_at);
comment on table turn is 'The answered turns of sessions: one row per turn. Older ones make room, and all expire.';
comment on column turn.number is 'Its place in the session, from 1.';
comment on column turn.question is 'The artefact and where its bytes are: ciphertext under the user''s key, as intake sealed it.';
comment on column turn.answer is 'The same of the answer, as the drafter sealed it.';
comment on column turn.digest is 'Of the event that said that the turn was answered.';

-- What has expired of every user is outside each one's scope: it is seen by a transaction that says before which time.
create policy expired on turn using (scope('tenant') is null and expires_at < scope('expired_before')::timestamptz);
