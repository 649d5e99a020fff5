-- name: last_index
select coalesce(max(log_index), 0) from log_entry

-- name: cases_recorded
select distinct case_id from transition
where ($1::timestamptz is null or recorded_at >= $1) and case_id > $2
order by case_id limit $3

-- name: cases_indexed
select distinct t.case_id
from log_entry e
join transition t using (opened_on, event_id)
where e.log_index > $1 and t.case_id > $2
order by t.case_id limit $3

-- name: events_of
select
  node_from as producer, case_id::text, event_id::text, transcript_hash as digest, transition as type,
  clamped(recorded_at) as recorded_at,
  parents, node_to, case when node_to = 'router' then body end as body, subject::text, access, terminal
from transition where case_id = any($1::uuid[])
order by case_id, seq, ordinal, event_id

-- name: which_are_there
-- An event that has a log index was recorded, also if its month has been dropped since: `verify` answers for its row.
select k.event_id::text
from unnest($1::date[], $2::uuid[]) as k (opened_on, event_id)
where exists (select from log_entry e where e.opened_on = k.opened_on and e.event_id = k.event_id)
  or exists (select from transition t where t.opened_on = k.opened_on and t.event_id = k.event_id)

-- name: passed
select node_from, clamped(min(event_ts)) as since
from (
  select node_from, event_ts, row_number() over (partition by node_from order by recorded_at desc) as latest
  from transition where recorded_at >= $1
) t
where latest <= $2
group by node_from
