-- name: keep
insert into forgetting (request_id, tenant, subject, scope, memory, person, signed_by, signed_at, signature)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (subject, request_id) do nothing
