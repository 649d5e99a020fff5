-- name: add
-- $8 to $10: how many of one tenant, source and session may wait. Returns the positions of those that found no room.
-- A tenant's submissions have consecutive turns; its first one gets the turn that its source is at. So the turns of one
-- source are a round robin over its tenants.
with arrived as (
  select * from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[], $7::text[])
    with ordinality as t (source, tenant, type, mac, session_key, sealed, trace, place)
),
fresh as (
  select distinct on (source, mac) * from arrived a
  where not exists (select from arrival w where w.source = a.source and w.mac = a.mac)
  order by source, mac, place
),
lane as (
  select source, tenant,
    least(
      $8 - (select count(*) from (select from arrival w where (w.source, w.tenant) = (f.source, f.tenant) limit $8) n),
      $9 - (select count(*) from (select from arrival w where w.source = f.source limit $9) n)
    ) as room,
    greatest(
      (select max(turn) + 1 from arrival w where (w.source, w.tenant) = (f.source, f.tenant)),
      (select min(turn) from arrival w where w.source = f.source),
      0
    ) as turn
  from (select distinct source, tenant from fresh) f
),
waiting as (
  select session_key, (select count(*) from arrival w where w.session_key = f.session_key) as of_session
  from (select distinct session_key from fresh where session_key is not null) f
),
placed as (
  select f.*, turn, row_number() over (partition by source, tenant order by place) as nth,
    row_number() over (partition by source, tenant order by place) > room
      or coalesce(row_number() over (partition by session_key order by place) + of_session > $10, false) as refused
  from fresh f join lane using (source, tenant) left join waiting using (session_key)
),
added as (
  insert into arrival (source, tenant, type, mac, session_key, sealed, trace, turn)
  select source, tenant, type, mac, session_key, sealed, trace, turn + nth - 1 from placed where not refused
  -- In this order they have their ids, and a session's turns their numbers.
  order by place
  on conflict do nothing
)
select place from placed where refused

-- name: claim
-- $1 how many, $2 seconds until others may take them, $3 the shares of sources as JSON (1 if not named).
-- Of a session only the first is a candidate: its turns become cases in their order, and however many there are, the
-- others of their tenant wait behind one.
with recursive waiting as (
  (select source from arrival order by source limit 1)
  union all
  select (select a.source from arrival a where a.source > w.source order by a.source limit 1)
  from waiting w where w.source is not null
),
candidate as (
  select a.arrival_id,
    row_number() over (partition by w.source order by a.turn, a.arrival_id)
      / coalesce(($3::jsonb ->> w.source)::float8, 1) as place
  from waiting w cross join lateral (
    select arrival_id, turn from arrival f
    where source = w.source and due_at <= clock_timestamp() and not exists (
      select from arrival earlier where earlier.session_key = f.session_key and earlier.arrival_id < f.arrival_id
    )
    order by turn, arrival_id
    limit 4 * $1
  ) a
),
taken as (
  select a.arrival_id
  from candidate c join arrival a using (arrival_id)
  where a.due_at <= clock_timestamp()
  order by c.place, random()
  limit $1
  for update of a skip locked
)
update arrival a set due_at = clock_timestamp() + make_interval(secs => $2)
from taken where a.arrival_id = taken.arrival_id
returning a.arrival_id, a.source, a.type, a.sealed, a.trace, a.failures

-- name: finish
delete from arrival where arrival_id = any($1::bigint[])

-- name: postpone
update arrival set due_at = clock_timestamp() + make_interval(secs => $2), failures = failures + $3
where arrival_id = $1
