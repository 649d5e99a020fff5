-- A case that an operator has tried again is open until it ends once more, and its outcome is the latest one.
create or replace view case_summary as
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
  case when ended then max(event_ts) filter (where terminal) end as closed_at,
  case when ended then
    (extract(epoch from max(event_ts) filter (where terminal) - min(event_ts) filter (where parents = '{}')) * 1000)::bigint
  end as duration_ms,
  case
    when ended then 'closed'
    when min(case_deadline) < clock_timestamp() then 'unended'
    else 'open'
  end as status,
  case when ended then (array_agg(outcome order by seq desc, event_ts desc, recorded_at desc) filter (where terminal))[1] end as outcome,
  case when ended then (array_agg(case when terminal and body is json object then body::jsonb #>> '{detail,payload,code}' end
    order by seq desc, event_ts desc, recorded_at desc) filter (where terminal))[1] end as code
from (
  select *,
    count(*) filter (where terminal) over of_case > count(*) filter (where transition = 'TaskRetried') over of_case as ended
  from transition
  window of_case as (partition by opened_on, case_id)
) t
group by opened_on, case_id, ended;
comment on view case_summary is 'One row per case. Narrow it by opened_on or case_id on a large log.';
comment on column case_summary.closed_at is 'By the producer''s clock; null while open. Of the latest ending, if the case was tried again.';
comment on column case_summary.duration_ms is 'From opened_at to closed_at, in milliseconds; what a case that was tried again waited is in it.';
comment on column case_summary.status is 'closed; open, if the deadline has not passed; else unended, which must not happen. Open again after a TaskRetried.';

-- For the reconciler: what was recorded lately. Summarising, because rows come in the order of this column.
create index transition_recorded on transition using brin (recorded_at);
