-- name: checkpoint
select body, signature from checkpoint where log = $1 and number = $2

-- name: checkpoints_after
select number from checkpoint where log = $1 and number > $2 order by number

-- name: indexed_rows
select
  e.log_index, clamped(e.opened_on), e.event_id::text, e.digest, clamped(e.recorded_at), e.body_sha256, e.mac, e.mac_key::text,
  t.case_id::text, t.transcript_hash, clamped(t.recorded_at), t.mac, t.mac_key::text, t.body
from log_entry e
left join transition t using (opened_on, event_id)
where ($1::bigint is null or e.log_index > $1) and ($2::bigint is null or e.log_index <= $2)
order by e.log_index

-- name: receipts_naming
-- A forged receipt may contain anything: nothing is cast that need not be well-formed.
select r.opened_on, r.case_id::text, r.part, r.statement, r.key, r.signature
from retention_receipt r
cross join lateral (select elements_of(json_of(r.statement) -> 'events') as events) s
where r.opened_on = any($1::date[]) and exists (
  select from jsonb_array_elements(s.events) e
  where e.value ->> 'event_id' = any($2::text[]))
order by r.opened_on, r.case_id, r.part

-- name: duplicates
select clamped(opened_on) as opened_on, event_id::text, min(log_index) as first, max(log_index) as last
from log_entry group by opened_on, event_id having count(*) > 1

-- name: duplicates_after
select clamped(n.opened_on) as opened_on, n.event_id::text, min(e.log_index) as first, max(e.log_index) as last
from log_entry n
join log_entry e on e.opened_on = n.opened_on and e.event_id = n.event_id
where n.log_index > $1
group by n.opened_on, n.event_id having count(*) > 1

-- name: count_unindexed
select count(*) as rows, clamped(min(recorded_at)) as oldest from unindexed

-- name: rows_without_entry
-- With a verified prefix, the rows recorded since; one that was recorded after the prefix has no entry in it.
select clamped(t.opened_on) as opened_on, t.event_id::text, t.case_id::text
from transition t
where ($2::timestamptz is null or t.recorded_at >= $2)
  and not exists (
    select from log_entry e
    where e.opened_on = t.opened_on and e.event_id = t.event_id
      and ($1::bigint is null or e.log_index > $1 or t.recorded_at <= $3::timestamptz))
  and not exists (select from unindexed u where u.opened_on = t.opened_on and u.event_id = t.event_id)
order by t.opened_on, t.event_id
