-- name: reserve
insert into warehouse_cost as s (day, ms, bytes)
select $1::date, $2::bigint, $3::bigint where $2::bigint <= $4::bigint and $3::bigint <= $5::bigint
on conflict (tenant, user_id, day) do update set ms = s.ms + excluded.ms, bytes = s.bytes + excluded.bytes
where s.ms + excluded.ms <= $4::bigint and s.bytes + excluded.bytes <= $5::bigint
returning true

-- name: settle
-- Row security leaves one row: the user's of that day.
update warehouse_cost set ms = greatest(0, ms + $2::bigint), bytes = greatest(0, bytes + $3::bigint)
where day = $1

-- name: prune
delete from warehouse_cost where day < $1
