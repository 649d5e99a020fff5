-- name: open
insert into gather (gather_id, case_id, command, due_at)
select $1, $2, $3, $4
where not exists (select from latest_ending ended where ended.case_id = $2)
on conflict (gather_id) do nothing

-- name: end_branch
-- Returns the end that the branch has now: this one, or an earlier one. Another case's has a row of its own.
with ended as (
  insert into branch_end (gather_id, case_id, branch, event_id, event)
  select $1, $3, $2, $4, $5
  where not exists (select from latest_ending ended where ended.case_id = $3)
  on conflict (case_id, gather_id, branch) do nothing
  returning event_id
)
select event_id from ended
union all
select event_id from branch_end where case_id = $3 and gather_id = $1 and branch = $2
limit 1

-- name: gather
select g.command, o.event as joined
from gather g left join outbox o on o.event_id = g.joined_id
where g.gather_id = $1

-- name: due
select gather_id, case_id from gather g
where joined_id is null and due_at <= $1 and gather_id::text <> all($3::text[])
  and not exists (select from latest_ending ended where ended.case_id = g.case_id)
order by due_at
limit $2

-- name: ends
select e.branch, e.event
from gather g join branch_end e using (case_id, gather_id)
where g.gather_id = $1 and e.branch < json_array_length(g.command::json -> 'payload' -> 'branches')
order by e.branch

-- name: join
with joined as (
  update gather g set joined_id = $2, joined_at = clock_timestamp()
  where gather_id = $1 and joined_id is null
    and not exists (select from latest_ending ended where ended.case_id = g.case_id)
  returning gather_id
)
insert into outbox (event) select $3 from joined on conflict (event_id) do nothing
