-- name: visible
select case_id::text from transition where case_id = any($1::uuid[])
group by case_id having bool_and(tenant = any($2::text[]))
