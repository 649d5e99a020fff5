-- name: lead
select pg_try_advisory_lock(hashtextextended('audit.sequencer', 0))

-- name: place
select place_rows($1)

-- name: head
select number, last_position, statement from anchor where log = $1 order by number desc limit 1

-- name: unanchored
select
  count(*) as rows,
  coalesce(extract(epoch from clock_timestamp() - min(placed_at)), 0)::float8 as oldest_s
from (select placed_at from position where position > $1 order by position limit $2) p

-- name: leaves
select position, opened_on, event_id::text, digest, recorded_at, body_sha256
from position
where position between $1 and $2
order by position

-- name: add_anchor
insert into anchor (log, number, first_position, last_position, statement, signature)
values ($1, $2, $3, $4, $5, $6)
on conflict do nothing

-- name: anchor
select statement, signature from anchor where log = $1 and number = $2

-- name: anchors_after
select number from anchor where log = $1 and number > $2 order by number

-- name: placed
select
  p.position, p.opened_on, p.event_id::text, p.digest, p.recorded_at, p.body_sha256,
  t.event_id is not null as present, t.case_id::text, t.transcript_hash, t.recorded_at as row_recorded_at, t.body
from position p
left join transition t using (opened_on, event_id)
order by p.position

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
select count(*) as rows, min(recorded_at) as oldest from unplaced

-- name: past_the_queue
select t.opened_on, t.event_id::text, t.case_id::text
from transition t
where not exists (select from position p where p.opened_on = t.opened_on and p.event_id = t.event_id)
  and not exists (select from unplaced u where u.opened_on = t.opened_on and u.event_id = t.event_id)
order by t.opened_on, t.event_id

-- name: positions_of
select
  p.position, t.opened_on, t.event_id::text, t.transcript_hash, t.recorded_at, t.body,
  a.number, a.first_position, a.last_position
from transition t
left join position p using (opened_on, event_id)
left join anchor a on a.log = $2 and p.position between a.first_position and a.last_position
where t.case_id = $1
order by t.seq, t.ordinal, t.event_id

-- name: anchors_between
select number, statement, signature from anchor where log = $1 and number between $2 and $3 order by number
