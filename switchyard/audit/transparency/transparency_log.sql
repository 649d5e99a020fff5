-- name: lead
select pg_try_advisory_lock(hashtextextended('audit.sequencer', 0))

-- name: index_rows
select index_rows($1)

-- name: head
select number, body from checkpoint where log = $1 order by number desc limit 1

-- name: uncovered
select
  count(*) as rows,
  coalesce(extract(epoch from clock_timestamp() - min(indexed_at)), 0)::float8 as oldest_s
from (select indexed_at from log_entry where log_index > $1 order by log_index limit $2) e

-- name: leaves
select log_index, opened_on, event_id::text, digest, recorded_at, body_sha256
from log_entry
where log_index between $1 and $2
order by log_index

-- name: add_checkpoint
insert into checkpoint (log, number, first_index, last_index, body, signature)
values ($1, $2, $3, $4, $5, $6)
on conflict do nothing
