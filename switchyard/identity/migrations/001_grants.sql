create table user_grant (
  grant_id      uuid primary key,
  source        text not null,
  sub           text not null,
  tenant        text not null,
  statement     text not null,
  wrapped_key   bytea,
  credential    bytea,
  registered_at timestamptz not null,
  expires_at    timestamptz not null,
  issued_at     timestamptz not null,
  revoked_at    timestamptz,
  check ((wrapped_key is null) = (credential is null))
);
create index user_grant_expired on user_grant (expires_at) where credential is not null;
create index user_grant_ended on user_grant (expires_at);
comment on table user_grant is 'What a user allows agents to do in their name, and the sealed credential that it is redeemed with.';
comment on column user_grant.sub is 'The user, as the identity provider names them: only they renew or revoke it.';
comment on column user_grant.statement is 'The grant as the ingress signed it: a compact JWS without a token.';
comment on column user_grant.issued_at is 'When the user logged in for it, last. Only a later log-in renews a revoked grant.';
comment on column user_grant.credential is 'The user''s token and what renews it, sealed; deleted at revocation and expiry.';

create table issued_token (
  jti        text not null,
  task_id    uuid not null,
  grant_id   uuid not null,
  case_id    uuid not null,
  agent      text not null,
  audience   text not null,
  scopes     text[] not null,
  issued_at  timestamptz not null,
  expires_at timestamptz not null,
  primary key (jti, task_id)
);
create index issued_token_grant on issued_token (grant_id, issued_at);
create index issued_token_case on issued_token (case_id);
comment on table issued_token is 'One row per token and task, written before the token is handed out. No token is stored.';
comment on column issued_token.grant_id is 'A user''s grant, or that of a source that acts for itself, which is in no table.';

create function open_task(the_agent text, the_case uuid, the_task uuid) returns text
language plpgsql stable security definer set search_path = identity, pg_temp as $$
declare
  its_facts text;
  holds_it boolean := false;
begin
  select s.facts into its_facts from case_manager.submission s
  where s.case_id = the_case
    and not exists (select from case_manager.latest_ending e where e.case_id = the_case)
    and not exists (select from case_manager.control where kind = 'cancelled_case' and key = the_case::text);
  if its_facts is null or to_regclass(format('%I.inbox', the_agent)) is null then
    return null;
  end if;
  execute format(
    'select exists (select from %I.inbox where event_id = $1 and case_id = $2 and outputs is null and lease_until > clock_timestamp())',
    the_agent
  ) into holds_it using the_task, the_case;
  return case when holds_it then its_facts end;
end $$;
revoke execute on function open_task from public;
comment on function open_task is 'The facts of an open case, for a task that this agent holds the lease of now; else null.';
