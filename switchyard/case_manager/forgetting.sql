-- name: keep
-- A person has a thousand requests at most; what was done long ago makes room, its receipt is in the log.
with old as (delete from forgetting where subject = $3 and done_at < clock_timestamp() - interval '30 days')
insert into forgetting (request_id, tenant, subject, scope, memory, person, signed_by, signed_at, signature)
select $1, $2, $3, $4, $5, $6, $7, $8, $9
where (
  select count(*) from forgetting
  where subject = $3 and (done_at is null or done_at >= clock_timestamp() - interval '30 days')
) < 1000
on conflict (subject, request_id) do nothing
