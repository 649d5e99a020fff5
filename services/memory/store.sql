-- name: keep_turn
insert into turn (case_id, number, question, answer, digest, kept_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (case_id) do nothing

-- name: make_room
-- Row security leaves the turns of one session.
delete from turn where number <= (select number from turn order by number desc offset $1 limit 1)
returning case_id::text

-- name: turns_before
select case_id::text, number, question, answer, digest, kept_at from turn
where number < $1 and expires_at > $2 order by number desc
