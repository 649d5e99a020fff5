-- name: lead
select pg_try_advisory_lock(hashtextextended('audit.sequencer', 0))

-- name: queued
select
  clamped(u.opened_on) as opened_on, u.event_id::text, t.transcript_hash as digest, clamped(t.recorded_at) as recorded_at,
  sha256(convert_to(t.body, 'UTF8')) as body_sha256, t.mac, t.mac_key::text, t.case_id::text
from unindexed u
left join transition t using (opened_on, event_id)
where t.mac_key is null or t.mac_key <> all($2::uuid[])
order by u.recorded_at, u.event_id
limit $1

-- name: index_rows
select index_rows($1, $2::uuid[], $3, $4, $5, $6, $7::uuid[])

-- name: refuse_rows
select refuse_rows($1, $2::uuid[])

-- name: keep_refused
insert into integrity_alarm (kind, event_id, case_id, reason, body_sha256)
select 'forged_row', r.event_id, r.case_id, r.reason, coalesce(r.body_sha256, sha256(convert_to(r.event_id::text, 'UTF8')))
from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[]) as r (event_id, case_id, body_sha256, reason)
on conflict (kind, body_sha256) do nothing

-- name: head
select number, body from checkpoint where log = $1 order by number desc limit 1

-- name: uncovered
select
  count(*) as rows,
  coalesce(extract(epoch from clock_timestamp() - min(indexed_at)), 0)::float8 as oldest_s
from (select indexed_at from log_entry where log_index > $1 order by log_index limit $2) e

-- name: leaves
select
  log_index, clamped(opened_on) as opened_on, event_id::text, digest, clamped(recorded_at) as recorded_at, body_sha256, mac,
  mac_key::text
from log_entry
where log_index between $1 and $2
order by log_index

-- name: add_checkpoint
insert into checkpoint (log, number, first_index, last_index, body, signature)
values ($1, $2, $3, $4, $5, $6)
on conflict do nothing
