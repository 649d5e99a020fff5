-- name: reserve
select verdict, limit_micros, used_micros, wait_s from budget.reserve($1, $2, $3, $4, $5, $6, $7, $8)

-- name: close_call
select budget.close_call($1, $2, $3)
