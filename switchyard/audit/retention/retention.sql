-- name: policies
select distinct on (playbook) playbook, effective_from, keep_for, duty_for, duty_counts_from, citation, set_by
from retention_policy
where effective_from <= clock_timestamp()
order by playbook, effective_from desc

-- name: set_policy
insert into retention_policy (playbook, keep_for, duty_for, duty_counts_from, citation, set_by)
values ($1, $2, $3, $4, $5, $6)

-- name: due
-- Only cases older than their own playbook's policy are evaluated one by one; the shortest policy excludes whole months.
with policy as materialized (
  select distinct on (playbook) playbook, greatest(keep_for, duty_for) as at_least
  from retention_policy
  where effective_from <= clock_timestamp()
  order by playbook, effective_from desc
)
select c.opened_on, c.case_id::text, r.playbook, r.policy_from, r.citation, r.last_recorded, r.duty_until
from (
  select t.opened_on, t.case_id
  from transition t
  join policy p on p.playbook = split_part(t.playbook_version, '/', 1)
  where t.parents = '{}'
    and t.opened_on <= (clock_timestamp() at time zone 'UTC' - (select min(at_least) from policy))::date
    and t.opened_on <= (clock_timestamp() at time zone 'UTC' - p.at_least)::date and t.opened_on = clamped(t.opened_on)
    and (t.opened_on, t.case_id) > ($1::date, $2::uuid)
    and exists (
      select from transition b where b.opened_on = t.opened_on and b.case_id = t.case_id and b.body is not null)
  -- A barrier for the planner: the filters come before the expensive function.
  offset 0
) c
cross join lateral case_retention(c.opened_on, c.case_id) r
where r.retire_after <= clock_timestamp()
order by c.opened_on, c.case_id
limit $3

-- name: one_at_a_time
select one_at_a_time()

-- name: next_part
select coalesce(max(part), 0) + 1 from retention_receipt where opened_on = $1 and case_id = $2

-- name: keep_receipt
insert into retention_receipt (opened_on, case_id, part, statement, key, signature)
values ($1, $2, $3, $4, $5, $6)

-- name: retire
update transition set body = null where opened_on = $1 and case_id = $2 and body is not null

-- name: artefacts_left
-- Cases without bodies whose artefacts may still be stored. A case waits while it is on hold, or while a late event has
-- its body.
select distinct r.opened_on, r.case_id::text
from retention_receipt r
where ($1::uuid is null or r.case_id = $1)
  and not exists (
    select from artefact_removal a where a.opened_on = r.opened_on and a.case_id = r.case_id and a.part = r.part)
  and not exists (select from active_hold h where h.case_id = r.case_id)
  and not exists (select from transition t where t.case_id = r.case_id and t.opened_on = r.opened_on and t.body is not null)
order by r.opened_on, r.case_id::text

-- name: artefacts_removed
insert into artefact_removal (opened_on, case_id, part)
select r.opened_on, r.case_id, r.part from retention_receipt r where r.opened_on = $1 and r.case_id = $2
on conflict do nothing

-- name: place_hold
insert into legal_hold (case_id, reason, placed_by) values ($1, $2, $3) returning hold_id::text

-- name: release_hold
insert into legal_hold_release (hold_id, reason, released_by)
select hold_id, $2, $3 from active_hold where case_id = $1
on conflict (hold_id) do nothing
returning hold_id::text

-- name: holds
select hold_id::text, case_id::text, reason, placed_by, placed_at
from active_hold
order by placed_at

-- name: droppable
-- Whole months in the past; drop_partition decides on each.
select c.relname
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'transition'::regclass and c.relname ~ '^transition_\d{4}_\d{2}$'
  and c.relname < 'transition_' || to_char(clock_timestamp() at time zone 'UTC', 'YYYY_MM')
order by c.relname

-- name: drop_partition
select drop_partition($1)
