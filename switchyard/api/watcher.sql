-- name: newest
select coalesce(max(log_index), 0) from log_entry

-- name: changed
select distinct case_id from caller_event where log_index > $1 and log_index <= $2
