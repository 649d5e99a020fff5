-- name: keep_outcome_class
insert into audit.outcome_class as o (outcome, class) values ($1, $2)
on conflict (outcome) do update set class = excluded.class where o.class <> excluded.class

-- name: keep_first_policy
insert into audit.retention_policy (playbook, effective_from, keep_for, duty_for, duty_counts_from, citation, set_by)
values ($1, '-infinity', $2::text::interval, $3::text::interval, $4, $5, 'migration')
on conflict do nothing
