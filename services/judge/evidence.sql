-- name: evidence
select event from evidence($1, $2)
