-- name: open_task
select open_task($1, $2, $3)
