-- name: refresh
select audit.refresh_facts($1)
