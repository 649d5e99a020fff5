-- name: reserve
insert into warehouse_cost as s (user_key, day, ms, bytes)
select $1::text, $2::date, $3::bigint, $4::bigint where $3::bigint <= $5::bigint and $4::bigint <= $6::bigint
on conflict (user_key, day) do update set ms = s.ms + excluded.ms, bytes = s.bytes + excluded.bytes
where s.ms + excluded.ms <= $5::bigint and s.bytes + excluded.bytes <= $6::bigint
returning true

-- name: settle
update warehouse_cost set ms = greatest(0, ms + $3::bigint), bytes = greatest(0, bytes + $4::bigint)
where user_key = $1 and day = $2

-- name: prune
delete from warehouse_cost where day < $1
