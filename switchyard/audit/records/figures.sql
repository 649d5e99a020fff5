-- name: refresh
select audit.refresh_figures($1)
