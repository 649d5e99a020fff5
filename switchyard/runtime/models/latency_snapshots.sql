-- name: latest
select snapshot from latency_snapshot where taken_at > $1 order by taken_at desc limit $2

-- name: save
insert into latency_snapshot as s (replica, taken_at, snapshot) values ($1, $2, $3)
on conflict (replica) do update set taken_at = excluded.taken_at, snapshot = excluded.snapshot

-- name: prune
delete from latency_snapshot where taken_at < $1
