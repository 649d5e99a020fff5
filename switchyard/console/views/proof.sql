-- name: checkpoint
select log, number, first_index, last_index, clamped(recorded_at) as recorded_at,
  (select count(*) from log_entry e where e.log_index > c.last_index) as uncovered,
  (select count(*) from unindexed) as unindexed
from checkpoint c order by number desc limit 1

-- name: newest
select max(log_index) as last_index, clamped(max(recorded_at)) as recorded_at from log_entry
where log_index > (select coalesce(max(log_index), 0) - 1 from log_entry)

-- name: alarms
select kind, count(*) as alarms, clamped(max(recorded_at)) as latest from integrity_alarm group by 1 order by 3 desc

-- name: erasures
select receipt_id::text, subject::text, key, clamped(recorded_at) as recorded_at
from erasure_receipt order by recorded_at desc limit 20

-- name: holds
select case_id::text, reason, placed_by, clamped(placed_at) as placed_at from active_hold order by placed_at desc limit 20

-- name: recorded
select k.event_id
from unnest($1::date[], $2::uuid[], $3::text[]) as k (opened_on, event_id, digest)
where exists (
  select from transition t where t.opened_on = k.opened_on and t.event_id = k.event_id and t.transcript_hash = k.digest)
