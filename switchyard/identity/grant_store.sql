-- name: register
-- $7 when the user logged in, $8-$10 whose grant it is. Returns why a known grant was left as it is, or null: an earlier
-- log-in replaces no later one, and that is no reason.
with registered as (
  insert into user_grant as g
    (grant_id, statement, wrapped_key, credential, registered_at, expires_at, issued_at, source, sub, tenant)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  on conflict (grant_id) do update
  set statement = excluded.statement, wrapped_key = excluded.wrapped_key, credential = excluded.credential,
    registered_at = excluded.registered_at, expires_at = excluded.expires_at, issued_at = excluded.issued_at,
    revoked_at = null
  where (g.source, g.sub, g.tenant) = (excluded.source, excluded.sub, excluded.tenant)
    and excluded.issued_at > g.issued_at and (g.revoked_at is null or g.revoked_at < excluded.issued_at)
  returning 1
)
select case
  when (source, sub, tenant) <> ($8, $9, $10) then 'foreign'
  when revoked_at >= $7 then 'revoked'
end
from user_grant where grant_id = $1 and not exists (select from registered)

-- name: find
select grant_id, statement, wrapped_key, credential, registered_at, revoked_at, sub, tenant from user_grant
where grant_id = $1

-- name: lock
select grant_id, statement, wrapped_key, credential, registered_at, revoked_at, sub, tenant from user_grant
where grant_id = $1 for update

-- name: replace_credential
update user_grant set wrapped_key = $2, credential = $3 where grant_id = $1 and revoked_at is null

-- name: revoke
update user_grant set revoked_at = greatest(revoked_at, $2), wrapped_key = null, credential = null where grant_id = $1

-- name: forget_expired
update user_grant set wrapped_key = null, credential = null where expires_at < $1 and credential is not null

-- name: forget_grants
delete from user_grant where expires_at < $1

-- name: record_issue
insert into issued_token (jti, task_id, grant_id, case_id, agent, audience, scopes, issued_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (jti, task_id) do nothing
