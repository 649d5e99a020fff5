-- name: cases_recorded
select distinct case_id from transition
where recorded_at >= $1 and case_id > $2
order by case_id limit $3

-- name: events_of
select
  node_from as producer, case_id::text, event_id::text, transcript_hash as digest, transition as type, recorded_at,
  parents, node_to, case when node_to = 'router' then body end as body
from transition where case_id = any($1::uuid[])
order by case_id, seq, ordinal, event_id

-- name: which_are_there
select t.event_id::text
from transition t
join unnest($1::date[], $2::uuid[]) as k (opened_on, event_id) using (opened_on, event_id)

-- name: passed
select node_from, min(event_ts) as since
from (
  select node_from, event_ts, row_number() over (partition by node_from order by recorded_at desc) as latest
  from transition where recorded_at >= $1
) t
where latest <= $2
group by node_from
