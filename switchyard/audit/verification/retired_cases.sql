-- name: receipts
select clamped(opened_on) as opened_on, case_id::text, part, statement, key, signature
from retention_receipt
where case_id = $1
order by opened_on, part

-- name: receipts_without_rows
select clamped(r.opened_on) as opened_on, r.case_id::text, r.part, r.statement, r.key, r.signature
from retention_receipt r
where ($1::uuid is null or r.case_id = $1) and ($2::date is null or r.opened_on = $2)
  and ($3::timestamptz is null or r.case_id in (select case_id from retention_receipt where recorded_at >= $3))
  and not exists (select from transition t where t.opened_on = r.opened_on and t.case_id = r.case_id)
order by r.case_id, r.opened_on, r.part

-- name: keep_partitions
lock table transition in access share mode

-- name: dropped
select partition_name from partition_drop

-- name: erasures
select subject::text, statement, key, signature from erasure_receipt
where $1::timestamptz is null or recorded_at >= $1
order by subject
