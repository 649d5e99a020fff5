-- A case that an operator has tried again ends once more. The first outcome wins within each try.
alter table closed add column attempt text not null default '';
alter table closed drop constraint closed_pkey;
alter table closed add primary key (case_id, attempt);
comment on table closed is 'Close: one row per case and try, the first outcome wins.';
comment on column closed.attempt is 'Which retry ended so; empty for the case as it was submitted.';

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
  attempt     text not null,
  request_id uuid not null unique,
  operator   text not null,
  event      text not null,
  retried_at timestamptz not null default clock_timestamp(),
  primary key (case_id, attempt)
);
comment on table retry is 'Cases that were opened again. One try follows another: of two requests for the same one, the first wins.';
comment on column retry.attempt is 'The name of the try: every event of it carries it.';
comment on column retry.event is 'The TaskRetried event as published.';

create view ended_case as
select c.case_id, c.outcome, c.attempt, c.event
from closed c
where c.attempt = coalesce(
  (select r.attempt from retry r where r.case_id = c.case_id order by r.retried_at desc limit 1), '');
comment on view ended_case is 'Cases that have ended: the ending of the latest try. A case that is tried again is not in it.';

-- What asked whether a case is closed asks whether its latest try is.
create or replace view approval_queue as
select a.*, h.command
from approval a join held h on h.task_id = a.approval_id
where not exists (select from ended_case c where c.case_id = a.case_id);

create or replace view sendable as
select
  s.case_id,
  s.tenant,
  s.playbook,
  o.address_key,
  c.outcome as ending_outcome,
  exists (select from control where kind = 'cancelled_case' and key = s.case_id::text) as cancelled,
  exists (select from control where kind = 'halted_playbook' and key = s.playbook) as halted,
  exists (select from control where kind = 'opted_out' and key = o.address_key) as opted_out
from submission s
cross join lateral (select s.opened::json #>> '{payload,address_key}' as address_key) o
left join ended_case c using (case_id);

create or replace function cancel(the_case uuid, operator text, reason text) returns text
language plpgsql security definer set search_path = case_manager, pg_temp as $$
begin
  if not exists (select from submission where case_id = the_case) then
    return 'unknown';
  end if;
  if exists (select from ended_case where case_id = the_case) then
    return 'closed';
  end if;
  insert into control (kind, key, by, why) values ('cancelled_case', the_case::text, operator, reason)
  on conflict do nothing;
  return 'cancelled';
end $$;
