-- name: claim
with wanted as (
  select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[]) as t (event_id, digest, case_id, type)
),
granted as (
  insert into inbox as i (event_id, digest, case_id, type, token, claims, lease_until)
  select event_id, digest, case_id, type, 1, 1, clock_timestamp() + make_interval(secs => $5)
  from wanted
  order by event_id
  on conflict (event_id) do update
    set token = i.token + 1,
        claims = i.claims + 1,
        lease_until = excluded.lease_until
    where i.outputs is null and i.lease_until < clock_timestamp() and i.digest = excluded.digest
  returning event_id, token, claims, failures, last_error, model_attempts, accesses
)
select
  w.event_id,
  g.token,
  g.claims,
  g.failures,
  g.last_error,
  g.model_attempts,
  g.accesses,
  i.digest as known_digest,
  events_of(i.outputs) as outputs,
  greatest(extract(epoch from i.lease_until - clock_timestamp()), 0)::float8 as leased_for,
  case when g.token is not null then case_manager.case_facts(w.case_id) end as facts
from wanted w
left join granted g using (event_id)
left join inbox i using (event_id)

-- name: forget
-- A claim of a command that its case contradicts: its id stays free for the true one.
delete from inbox using unnest($1::uuid[], $2::bigint[]) as t (event_id, token)
where inbox.event_id = t.event_id and inbox.token = t.token and inbox.outputs is null

-- name: complete
-- Rows are locked in the order in which `claim` locks them, or two workers' batches could deadlock.
with done as (
  select event_id, t.events
  from unnest($1::uuid[], $2::bigint[], $3::text[]) as t (event_id, token, events)
  join inbox i using (event_id, token)
  where i.outputs is null
  order by event_id
  for update of i
),
stored as (
  insert into outbox (event)
  select e.event::text from done cross join lateral json_array_elements(done.events::json) as e (event)
  on conflict (event_id) do nothing
)
update inbox i
set completed_at = clock_timestamp(),
    outputs = (select array_agg((e.event ->> 'event_id')::uuid) from json_array_elements(done.events::json) as e (event))
from done
where i.event_id = done.event_id
returning i.event_id, i.token

-- name: outputs_of
select events_of(outputs) as outputs from inbox where event_id = $1

-- name: renew
with leased as (
  select event_id
  from unnest($1::uuid[], $2::bigint[]) as t (event_id, token)
  join inbox i using (event_id, token)
  where i.outputs is null
  order by event_id
  for update of i
)
update inbox i
set lease_until = clock_timestamp() + make_interval(secs => $3)
from leased
where i.event_id = leased.event_id
returning i.event_id, i.token

-- name: fail
-- The token goes up: a renewal that is still under way must not bring the lease back.
update inbox
set failures = failures + 1, last_error = $3, model_attempts = $4, accesses = $5, lease_until = clock_timestamp(),
  token = token + 1
where event_id = $1 and token = $2 and outputs is null
returning failures

-- name: release
update inbox
set claims = claims - 1, accesses = $3, lease_until = clock_timestamp(), token = token + 1
where event_id = $1 and token = $2 and outputs is null

-- name: progress
select events_of(outputs) as outputs, failures, claims, last_error,
  greatest(extract(epoch from lease_until - clock_timestamp()), 0)::float8 as leased_for
from inbox where event_id = $1
