-- A case that an operator has tried again ends once more. The first outcome wins within each try.
alter table closed add column replay text not null default '';
alter table closed drop constraint closed_pkey;
alter table closed add primary key (case_id, replay);
comment on table closed is 'Close: one row per case and try, the first outcome wins.';
comment on column closed.replay is 'Which retry ended so; empty for the case as it was submitted.';

create table retry_request (
  request_id  uuid primary key,
  case_id     uuid not null,
  request     text not null,
  received_at timestamptz not null default clock_timestamp(),
  decided_at  timestamptz,
  code        text,
  why         text
);
create index retry_request_open on retry_request (received_at) where decided_at is null;
comment on table retry_request is 'What operators ask for, signed. A row has no effect before its signature and its evidence were checked.';
comment on column retry_request.request is 'JSON: operator, reason, requested_at, signature, and three events of the log: the command, its failure, the router''s CloseCase.';
comment on column retry_request.code is 'retried, or why it was refused; null until it is decided.';
comment on column retry_request.why is 'The refusal for people, with the remedy.';

create table retry (
  case_id    uuid not null,
  replay     text not null,
  request_id uuid not null unique,
  operator   text not null,
  event      text not null,
  retried_at timestamptz not null default clock_timestamp(),
  primary key (case_id, replay)
);
comment on table retry is 'Cases that were opened again. One try follows another: of two requests for the same one, the first wins.';
comment on column retry.replay is 'The name of the try: every event of it carries it.';
comment on column retry.event is 'The TaskRetried event as published.';
