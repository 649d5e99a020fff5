-- name: destroy
with destroyed as (
  delete from vault.subject_key where subject = $1 returning subject, tenant
)
insert into vault.erased_subject (subject, tenant, erased_by, reason)
select subject, tenant, $2, $3 from destroyed
-- A key that a restored backup has brought back: the record keeps the first erasure.
on conflict (subject) do nothing

-- name: state
select
  (select tenant from vault.subject_key where subject = $1) as tenant,
  e.tenant as erased_tenant, e.erased_by, e.reason, e.erased_at
from (select) nothing
left join vault.erased_subject e on e.subject = $1

-- name: destroy_again
delete from vault.subject_key where subject = any($1::uuid[]) returning subject::text
