-- name: suppress
with suppressed as (
  insert into control (kind, key, by, why) values ('suppressed_address', $1, $2, $3) on conflict (kind, key) do nothing
)
insert into outbox as o (event) values ($4)
on conflict (event_id) do update set event = o.event
returning event
