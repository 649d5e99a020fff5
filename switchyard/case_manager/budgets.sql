-- name: lose_calls
select budget.lose_calls($1)

-- name: due_reports
select tenant, day, reported, limit_micros, spent, stopped_calls, percent from budget.due_reports
where day >= budget.today() - $2::integer and percent > reported order by tenant, day limit $1

-- name: report
update budget.tenant_day set reported = $3 where tenant = $1 and day = $2 and reported < $3

-- name: store_event
insert into outbox (event) values ($1) on conflict (event_id) do nothing

-- name: forget
with calls as (delete from budget.model_call where state <> 'open' and asked_at < budget.today() - $1::integer),
  cases as (delete from budget.case_total where last_day < budget.today() - $2::integer)
delete from budget.tenant_day where day < budget.today() - $3::integer
