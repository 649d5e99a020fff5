-- name: find_subject
select subject from vault.subject_key where tenant = $1 and fingerprint = $2

-- name: add_subject
insert into vault.subject_key (subject, tenant, fingerprint, wrapped_key, external_id)
values ($1, $2, $3, $4, $5)
on conflict (tenant, fingerprint) do update set tenant = excluded.tenant
returning subject

-- name: key_of
select wrapped_key from vault.subject_key where subject = $1
