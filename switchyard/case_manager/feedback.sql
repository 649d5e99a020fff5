-- name: case_to_judge
-- $2: the source, which must be the one that the case was asked through. The ending is that of the latest attempt.
select s.facts, s.subject::text, e.event_id as ending_id, o.event as ending
from submission s
left join case_ending e on e.case_id = s.case_id and e.attempt = coalesce(
  (select r.attempt from retry r where r.case_id = s.case_id order by r.retried_at desc limit 1), '')
left join outbox o on o.event_id = e.event_id
where s.case_id = $1 and s.facts::json #>> '{pinned,principal,sub}' = 'service:' || $2::text

-- name: lock_ending
-- One at a time per ending, so that each has one cause.
select true from case_ending where event_id = $1 for update

-- name: given
select f.number, f.given_by, f.mac, f.stated_at, o.event from feedback f join outbox o using (event_id)
where f.ending_id = $1 order by f.number

-- name: keep
with kept as (
  insert into feedback (event_id, case_id, number, ending_id, given_by, mac, stated_at)
  values ($1, $2, $3, $4, $5, $6, $7)
)
insert into outbox (event) values ($8) on conflict (event_id) do nothing
