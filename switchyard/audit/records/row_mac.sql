-- name: keep_key
insert into mac_key (key_id, not_before, not_after, wrapped) values ($1, $2, $3, $4)

-- name: keys
select key_id::text, clamped(not_before) as not_before, clamped(not_after) as not_after, wrapped
from mac_key where key_id = any($1::uuid[])
