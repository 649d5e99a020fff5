-- name: steps
select
  t.step, t.seq, t.ordinal, t.event_id::text, t.event_ts, t.recorded_at, t.node_from, t.node_to, t.transition,
  t.model_id, t.latency_ms, t.rubric_score, t.since_opened_ms, t.terminal, t.outcome, t.transcript_hash,
  d.parents, (d.detail - 'storage_refs' - 'state_seal')::text as detail,
  s.pre_state::text as pre_state, s.post_state::text as post_state, s.caused_by::text as caused_by,
  r.time_limit_ms, r.body is null as retired
from case_timeline t
join transition_detail d using (opened_on, case_id, event_id)
join transition_states s using (opened_on, case_id, event_id)
join transition r using (opened_on, case_id, event_id)
where t.case_id = $1
order by t.opened_on, t.step

-- name: event
select audit.json_of(body) -> 'detail' as detail, body from transition where case_id = $1 and event_id = $2

-- name: alarms
select kind, event_id::text, reason, field, clamped(recorded_at) as recorded_at
from integrity_alarm where case_id = $1 order by alarm_id desc limit 20

-- name: causes
select c.event_id::text, c.node_from, c.transition, (audit.json_of(c.body) -> 'detail')::text as detail
from transition t
join transition c on c.opened_on = t.opened_on and c.case_id = t.case_id and c.transcript_hash = any(t.parents)
where t.case_id = $1 and t.event_id = $2
order by c.seq, c.ordinal
