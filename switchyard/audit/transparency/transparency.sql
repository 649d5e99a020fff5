-- name: lead
select pg_try_advisory_lock(hashtextextended('audit.sequencer', 0))

-- name: place
select index_rows($1)

-- name: head
select number, last_index, statement from checkpoint where log = $1 order by number desc limit 1

-- name: uncovered
select
  count(*) as rows,
  coalesce(extract(epoch from clock_timestamp() - min(indexed_at)), 0)::float8 as oldest_s
from (select indexed_at from log_index where log_index > $1 order by log_index limit $2) p

-- name: leaves
select log_index, opened_on, event_id::text, digest, recorded_at, body_sha256
from log_index
where log_index between $1 and $2
order by log_index

-- name: add_checkpoint
insert into checkpoint (log, number, first_index, last_index, statement, signature)
values ($1, $2, $3, $4, $5, $6)
on conflict do nothing

-- name: checkpoint
select statement, signature from checkpoint where log = $1 and number = $2

-- name: checkpoints_after
select number from checkpoint where log = $1 and number > $2 order by number

-- name: placed
select
  p.log_index, p.opened_on, p.event_id::text, p.digest, p.recorded_at, p.body_sha256,
  t.event_id is not null as present, t.case_id::text, t.transcript_hash, t.recorded_at as row_recorded_at, t.body
from log_index p
left join transition t using (opened_on, event_id)
order by p.log_index

-- name: receipts_naming
-- Whoever has forged one may have put anything into it: nothing is cast that need not be as it should.
select r.opened_on, r.case_id::text, r.part, r.statement, r.key, r.signature
from retention_receipt r
cross join lateral (select r.statement::jsonb -> 'events' as events) s
where r.opened_on = any($1::date[]) and exists (
  select from jsonb_array_elements(case when jsonb_typeof(s.events) = 'array' then s.events else '[]' end) e
  where e.value ->> 'event_id' = any($2::text[]))
order by r.opened_on, r.case_id, r.part

-- name: count_waiting
select count(*) as rows, min(recorded_at) as oldest from unindexed

-- name: past_the_queue
select t.opened_on, t.event_id::text, t.case_id::text
from transition t
where not exists (select from log_index p where p.opened_on = t.opened_on and p.event_id = t.event_id)
  and not exists (select from unindexed u where u.opened_on = t.opened_on and u.event_id = t.event_id)
order by t.opened_on, t.event_id

-- name: indexes_of
select
  p.log_index, t.opened_on, t.event_id::text, t.transcript_hash, t.recorded_at, t.body,
  a.number, a.first_index, a.last_index
from transition t
left join log_index p using (opened_on, event_id)
left join checkpoint a on a.log = $2 and p.log_index between a.first_index and a.last_index
where t.case_id = $1
order by t.seq, t.ordinal, t.event_id

-- name: checkpoints_between
select number, statement, signature from checkpoint where log = $1 and number between $2 and $3 order by number
