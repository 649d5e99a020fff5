-- name: grant
revoke all on all tables in schema audit from audit_retention;
grant usage on schema audit to audit_retention;
grant select on
  audit.retention_policy, audit.legal_hold, audit.legal_hold_release, audit.active_hold, audit.retention_receipt,
  audit.retired_event, audit.partition_drop
to audit, audit_reader, audit_retention;
grant select on audit.transition, audit.integrity_alarm to audit_retention;
grant insert (playbook, keep_for, duty_for, duty_counts_from, citation, set_by) on audit.retention_policy to audit_retention;
grant insert (case_id, reason, placed_by) on audit.legal_hold to audit_retention;
grant insert (hold_id, reason, released_by) on audit.legal_hold_release to audit_retention;
grant insert (opened_on, case_id, part, statement, key, signature) on audit.retention_receipt to audit_retention;
grant update (body) on audit.transition to audit_retention;
grant execute on function audit.case_retention(date, uuid) to audit_reader, audit_retention;
grant execute on function audit.one_at_a_time(), audit.drop_partition(text) to audit_retention;

-- name: policies
select distinct on (playbook) playbook, effective_from, keep_for, duty_for, duty_counts_from, citation, set_by
from retention_policy
where effective_from <= clock_timestamp()
order by playbook, effective_from desc

-- name: set_policy
insert into retention_policy (playbook, keep_for, duty_for, duty_counts_from, citation, set_by)
values ($1, $2, $3, $4, $5, $6)

-- name: due
-- The shortest period first: it rules out the months in which nothing can be due.
with shortest as (select min(keep_for) as keep_for from retention_policy where effective_from <= clock_timestamp())
select c.opened_on, c.case_id::text, r.playbook, r.policy_from, r.citation, r.last_recorded, r.duty_until
from (
  select t.opened_on, t.case_id
  from transition t, shortest
  where t.parents = '{}' and t.opened_on <= (clock_timestamp() at time zone 'UTC' - shortest.keep_for)::date
    and (t.opened_on, t.case_id) > ($1::date, $2::uuid)
    and exists (
      select from transition b where b.opened_on = t.opened_on and b.case_id = t.case_id and b.body is not null)
) c
cross join lateral case_retention(c.opened_on, c.case_id) r
where r.retire_after <= clock_timestamp()
order by c.opened_on, c.case_id
limit $3

-- name: one_at_a_time
select one_at_a_time()

-- name: case_retention
select * from case_retention($1, $2)

-- name: next_part
select coalesce(max(part), 0) + 1 from retention_receipt where opened_on = $1 and case_id = $2

-- name: keep_receipt
insert into retention_receipt (opened_on, case_id, part, statement, key, signature)
values ($1, $2, $3, $4, $5, $6)

-- name: retire
update transition set body = null where opened_on = $1 and case_id = $2 and body is not null

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
where $1::uuid is null or case_id = $1
order by placed_at

-- name: droppable
-- Whole months in the past; whether each may go is drop_partition's to say.
select c.relname
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'transition'::regclass and c.relname ~ '^transition_\d{4}_\d{2}$'
  and c.relname < 'transition_' || to_char(clock_timestamp() at time zone 'UTC', 'YYYY_MM')
order by c.relname

-- name: drop_partition
select drop_partition($1)

-- name: receipts
select opened_on, case_id::text, part, statement, key, signature
from retention_receipt
where case_id = $1
order by opened_on, part

-- name: receipts_without_rows
select r.opened_on, r.case_id::text, r.part, r.statement, r.key, r.signature
from retention_receipt r
where ($1::uuid is null or r.case_id = $1) and ($2::date is null or r.opened_on = $2)
  and not exists (select from transition t where t.opened_on = r.opened_on and t.case_id = r.case_id)
order by r.case_id, r.opened_on, r.part

-- name: keep_partitions
lock table transition in access share mode

-- name: dropped
select partition_name from partition_drop
