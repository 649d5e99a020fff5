-- name: model_calls
select t.node_from as agent, t.model_id, clamped(t.event_ts) as at, (audit.json_of(t.body) #> '{detail,model_call}')::text as call
from (
  select node_from, model_id, event_ts, body from transition
  where opened_on >= $1 and model_id is not null and event_ts > $2 and ($3::text[] is null or tenant = any($3))
  order by event_ts desc
  limit 500
) t
order by t.event_ts desc
