-- name: keep_turn
insert into turn (case_id, number, question, answer, digest, kept_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (case_id) do nothing

-- name: make_room
-- Row security leaves the turns of one session.
with gone as (
  delete from turn where number <= (select number from turn order by number desc offset $1 limit 1)
  returning case_id, tenant, digest
)
insert into forgotten (id, tenant, kind, digest, reason)
select case_id, tenant, 'turn', digest, 'evicted' from gone on conflict (id) do nothing

-- name: turns_before
select case_id::text, number, question, answer, digest, kept_at from turn
where number < $1 and expires_at > $2 order by number desc
