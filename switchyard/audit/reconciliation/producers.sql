-- name: set_schema
select set_config('search_path', $1, true)

-- name: cases_published
select distinct case_id from outbox
where ($1::timestamptz is null or stored_at >= $1) and publish_after < 'infinity' and case_id > $2
order by case_id limit $3

-- name: published_of
select event_id::text, case_id::text, digest, opened_on, type, stored_at from outbox
where case_id = any($1::uuid[]) and publish_after < 'infinity'

-- name: republish
select coalesce(republish($1), false) as known

-- name: issues_tokens
select to_regclass('identity.issued_token') is not null

-- name: issued
select jti, task_id::text as task, grant_id::text as "grant", case_id::text, agent, audience, scopes, issued_at
from identity.issued_token where case_id = any($1::uuid[])
