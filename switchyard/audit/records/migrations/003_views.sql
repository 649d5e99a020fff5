-- A view must answer even if somebody has put a body into the log that is no JSON: such a row has null details.
create view transition_detail as
select
  t.opened_on, t.case_id, t.seq, t.ordinal, t.event_id, t.node_from, t.node_to, t.transition, t.event_ts,
  t.parents, t.transcript_hash,
  d.detail,
  d.detail -> 'payload' as payload,
  d.detail -> 'state' as state,
  d.detail -> 'principal' as principal,
  d.detail -> 'budget' as budget,
  d.detail -> 'model_call' as model_call,
  d.detail -> 'trace' as trace,
  d.detail -> 'storage_refs' as storage_refs
from transition t
-- offset 0 keeps the planner from parsing the body once for each column.
cross join lateral (select case when t.body is json object then t.body::jsonb -> 'detail' end as detail offset 0) d;
comment on view transition_detail is 'The event itself, as JSON, beside the columns that identify it. Narrow it by case_id: each row is parsed.';
comment on column transition_detail.detail is 'The whole envelope; null if the body is no JSON object.';
comment on column transition_detail.payload is 'What the event says beyond the envelope.';
comment on column transition_detail.state is 'The router''s state of the case, as handed out or returned.';
comment on column transition_detail.principal is 'On whose behalf: claims.';
comment on column transition_detail.budget is 'What the task may spend.';
comment on column transition_detail.model_call is 'Which model answered, why that one, and what it cost.';
comment on column transition_detail.trace is 'W3C trace context; not digested.';
comment on column transition_detail.storage_refs is 'Places of the artefacts; not digested.';

create view transition_states as
select
  c.opened_on, c.case_id, c.seq, c.ordinal, c.event_id, c.node_from, c.node_to, c.transition, c.event_ts,
  p.event_id as caused_by,
  p.state as pre_state,
  c.state as post_state
from transition_detail c
left join lateral (
  select t.event_id, case when t.body is json object then t.body::jsonb #> '{detail,state}' end as state
  from transition t
  where t.opened_on = c.opened_on and t.case_id = c.case_id and t.transcript_hash = c.parents[1]
  limit 1
) p on true;
comment on view transition_states is
  'The case''s state before and after each transition. Only the router writes state, agents return it untouched.';
comment on column transition_states.caused_by is 'The first parent; null for the first event of a case.';
comment on column transition_states.pre_state is 'The state in the first parent; null if that carries none.';
comment on column transition_states.post_state is 'The state in the event itself; null if it carries none, as an ending does.';

create view case_timeline as
select
  opened_on, case_id,
  row_number() over ordered as step,
  seq, ordinal, event_id, event_ts, recorded_at, node_from, node_to, transition, model_id, latency_ms, rubric_score,
  (extract(epoch from event_ts - first_value(event_ts) over ordered) * 1000)::bigint as since_opened_ms,
  terminal, outcome, transcript_hash
from transition
window ordered as (partition by opened_on, case_id order by seq, ordinal, recorded_at, event_id);
comment on view case_timeline is 'The transitions of a case in the order of their causes.';
comment on column case_timeline.step is 'From 1. Late events, after the end, are in their causal place.';
comment on column case_timeline.since_opened_ms is 'Milliseconds since the first event, by the producers'' clocks.';

create view case_summary as
select
  opened_on, case_id,
  min(tenant) as tenant,
  min(session_id) as session_id,
  min(playbook_version) as playbook_version,
  (array_agg(node_from order by seq, ordinal, recorded_at, event_id))[1] || '→'
    || string_agg(node_to, '→' order by seq, ordinal, recorded_at, event_id) as route,
  min(node_to) filter (where transition = 'AnswerQuestion') as agent,
  coalesce(array_agg(distinct model_id) filter (where model_id is not null), '{}') as model_ids,
  count(*) as hops,
  min(event_ts) filter (where parents = '{}') as opened_at,
  min(event_ts) filter (where terminal) as closed_at,
  (extract(epoch from min(event_ts) filter (where terminal) - min(event_ts) filter (where parents = '{}')) * 1000)::bigint
    as duration_ms,
  case
    when bool_or(terminal) then 'closed'
    when min(case_deadline) < clock_timestamp() then 'unended'
    else 'open'
  end as status,
  (array_agg(outcome order by recorded_at) filter (where terminal))[1] as outcome,
  (array_agg(case when terminal and body is json object then body::jsonb #>> '{detail,payload,code}' end
    order by recorded_at) filter (where terminal))[1] as code
from transition
group by opened_on, case_id;
comment on view case_summary is 'One row per case. Narrow it by opened_on or case_id on a large log.';
comment on column case_summary.route is 'The nodes in the order of the case''s transitions.';
comment on column case_summary.agent is 'The specialist that was asked; null if none was.';
comment on column case_summary.model_ids is 'The models that answered, sorted.';
comment on column case_summary.hops is 'How many transitions.';
comment on column case_summary.opened_at is 'By the producer''s clock.';
comment on column case_summary.closed_at is 'By the producer''s clock; null while open.';
comment on column case_summary.duration_ms is 'From opened_at to closed_at, in milliseconds.';
comment on column case_summary.status is 'closed; open, if the deadline has not passed; else unended, which must not happen.';
comment on column case_summary.code is 'The machine-readable reason of the outcome.';
