-- name: footprint
-- The cases about a person, by playbook, with the policy, the duty and the legal holds.
with cases as (
  select opened_on, case_id, split_part(playbook_version, '/', 1) as playbook
  from transition where parents = '{}' and subject = $1
)
select
  c.playbook, array_agg(c.case_id::text order by c.case_id) as case_ids, sum(e.events)::bigint as events,
  bool_and(r.policy_from is not null) as has_policy, max(r.duty_until) as duty_until, min(r.citation) as citation,
  coalesce(array_agg(h.case_id::text) filter (where h.case_id is not null), '{}') as legal_holds
from cases c
cross join lateral (
  select count(*) as events from transition t where t.opened_on = c.opened_on and t.case_id = c.case_id
) e
cross join lateral case_retention(c.opened_on, c.case_id) r
left join lateral (select a.case_id from active_hold a where a.case_id = c.case_id limit 1) h on true
group by c.playbook
order by c.playbook

-- name: receipt
select statement, key, signature from erasure_receipt where subject = $1

-- name: keep_receipt
insert into erasure_receipt (receipt_id, subject, statement, key, signature) values ($1, $2, $3, $4, $5)
on conflict (subject) do nothing

-- name: one_at_a_time
select one_at_a_time()

-- name: subjects
select subject::text from erasure_receipt where subject > $1::uuid order by subject limit 1000
