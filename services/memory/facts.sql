-- name: facts
-- Row security leaves one user's, a few; without a vector there is no similarity.
select fact_id::text, kind, predicate, case_id::text, digest, sealed, quarantined, kept_at,
  coalesce(1 - (vector <=> $2::text::vector), 0)::float8 as similarity
from fact where expires_at > $1 order by kept_at

-- name: replace_slot
with gone as (delete from fact where kind = 'slot' and predicate = $1 and fact_id <> $2
  returning fact_id, tenant, kind, digest)
insert into forgotten (id, tenant, kind, digest, reason)
select fact_id, tenant, kind, digest, 'superseded' from gone on conflict (id) do nothing

-- name: confirm
update fact set expires_at = $2 where fact_id = $1

-- name: keep_fact
insert into fact (fact_id, kind, predicate, case_id, event_id, digest, trust, quarantined, sealed, embedder, vector,
  kept_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::vector, $12, $13)
on conflict (fact_id) do nothing

-- name: evict
with gone as (
  delete from fact where fact_id in (
    select fact_id from fact order by quarantined, uses desc, kept_at desc offset $1
  ) returning fact_id, tenant, kind, digest
)
insert into forgotten (id, tenant, kind, digest, reason)
select fact_id, tenant, kind, digest, 'evicted' from gone on conflict (id) do nothing

-- name: count_uses
update fact set uses = uses + 1 where fact_id = any($1::uuid[])

-- name: rank_texts
-- By any word of the question; the texts are open only here, in memory.
select t.place::integer, ts_rank(to_tsvector('english', t.body), q.query)::float8 as rank
from unnest($1::text[]) with ordinality as t (body, place),
  (select to_tsquery('english', nullif(array_to_string(array(
      select quote_literal(word) from unnest(tsvector_to_array(to_tsvector('english', $2))) word), ' | '), '')) as query) q
where to_tsvector('english', t.body) @@ q.query
order by rank desc, t.place
