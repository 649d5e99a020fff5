-- name: begin
insert into webhook_cursor (log_index) values ($1) on conflict do nothing

-- name: cursor
select log_index from webhook_cursor for update

-- name: move
update webhook_cursor set log_index = $1

-- name: newest
select coalesce(max(log_index), 0) from log_entry

-- name: endings
select log_index, case_id, tenant, session_id, outcome, event_id, event_ts
from caller_event where terminal and log_index > $1 and log_index <= $2
order by log_index

-- name: add
insert into webhook_delivery (delivery_id, tenant, case_id, body, due_at) values ($1, $2, $3, $4, $5)
on conflict do nothing

-- name: claim
update webhook_delivery set attempts = attempts + 1, due_at = $1::timestamptz + make_interval(secs => $2)
where delivery_id in (
  select delivery_id from webhook_delivery where state = 'pending' and due_at <= $1
  order by due_at limit $3 for update skip locked)
returning delivery_id, tenant, case_id, body, attempts

-- name: end
update webhook_delivery set state = $2, last_error = $3, ended_at = $4 where delivery_id = $1

-- name: postpone
update webhook_delivery set due_at = $2, last_error = $3 where delivery_id = $1

-- name: forget
delete from webhook_delivery where state <> 'pending' and ended_at < $1
