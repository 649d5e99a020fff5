-- What a compliance reviewer asks. Every view narrows by case_id or opened_on before it parses a body, and answers with
-- nulls for what was in a body that has been retired; columns of the log stay.
create view model_usage as
select
  t.opened_on, t.tenant, t.node_from as agent,
  c.call ->> 'vendor' as vendor, t.model_id, c.call ->> 'role' as role, t.prompt_version,
  count(*) as answers,
  sum((c.call ->> 'calls')::bigint)::bigint as calls,
  sum((c.call ->> 'input_tokens')::bigint)::bigint as input_tokens,
  sum((c.call ->> 'output_tokens')::bigint)::bigint as output_tokens,
  sum((c.call ->> 'loser_tokens')::bigint)::bigint as lost_tokens,
  count(*) filter (where t.transition = 'TaskFailed') as failures
from transition t
-- offset 0 keeps the planner from parsing the body once for each column.
cross join lateral (
  select case when t.body is json object then t.body::jsonb #> '{detail,model_call}' end as call offset 0
) c
where t.model_id is not null
group by 1, 2, 3, 4, 5, 6, 7;
comment on view model_usage is 'Which models answered for which agent, by day of opening, and what they cost. Narrow it by opened_on.';
comment on column model_usage.opened_on is 'UTC day on which the cases were opened.';
comment on column model_usage.tenant is 'Whose cases they are.';
comment on column model_usage.agent is 'The service that called the model.';
comment on column model_usage.vendor is 'bedrock, openai …; null once the bodies are retired.';
comment on column model_usage.model_id is 'The model that answered.';
comment on column model_usage.role is 'primary or fallback; null once the bodies are retired.';
comment on column model_usage.prompt_version is 'Version of the prompt.';
comment on column model_usage.answers is 'Events that carry a model call: one for each agent run.';
comment on column model_usage.calls is 'Requests to models in these runs.';
comment on column model_usage.input_tokens is 'Tokens that the answering model read.';
comment on column model_usage.output_tokens is 'Tokens that the answering model wrote.';
comment on column model_usage.lost_tokens is 'Tokens of calls that did not answer: paid for, and of no use.';
comment on column model_usage.failures is 'Runs that failed although a model was called.';

create view failovers as
select
  t.opened_on, t.case_id, t.tenant, t.session_id, t.event_id, t.event_ts, t.node_from as agent, c.call ->> 'reason' as reason,
  p.attempt ->> 'vendor' as left_vendor, p.attempt ->> 'model_id' as left_model_id,
  (p.attempt ->> 'ended_ms')::bigint - (p.attempt ->> 'started_ms')::bigint as left_after_ms,
  c.call ->> 'vendor' as vendor, t.model_id, t.latency_ms,
  c.call -> 'decision' as decision
from transition t
cross join lateral (
  select case when t.body is json object then t.body::jsonb #> '{detail,model_call}' end as call offset 0
) c
left join lateral (
  select a.value as attempt
  from jsonb_array_elements(c.call #> '{decision,attempts}') with ordinality as a (value, place)
  where a.value ->> 'role' = 'primary'
  order by a.place limit 1
) p on true
where t.model_id is not null and c.call ->> 'role' = 'fallback';
comment on view failovers is 'Answers that did not come from the primary model, why, and on which numbers. Narrow it by case_id or opened_on.';
comment on column failovers.opened_on is 'UTC day on which the case was opened.';
comment on column failovers.case_id is 'The case.';
comment on column failovers.tenant is 'Whose case it is.';
comment on column failovers.session_id is 'The conversation.';
comment on column failovers.event_id is 'The answer.';
comment on column failovers.event_ts is 'When the producer says that it answered.';
comment on column failovers.agent is 'The agent that failed over.';
comment on column failovers.reason is 'ttft, projected, error, throttled, breaker, hedge_win, budget or policy.';
comment on column failovers.left_vendor is 'The primary''s vendor; null if it was not called at all.';
comment on column failovers.left_model_id is 'The primary; null if it was not called at all.';
comment on column failovers.left_after_ms is 'How long the primary was waited for, in milliseconds.';
comment on column failovers.vendor is 'Who answered.';
comment on column failovers.model_id is 'The model that answered.';
comment on column failovers.latency_ms is 'How long the whole call took, in milliseconds.';
comment on column failovers.decision is 'Everything that the decision was made on.';

create view gate_decisions as
select
  t.opened_on, t.case_id, t.tenant, t.seq, t.event_id, t.event_ts, g.gate,
  case
    when t.transition <> 'SendingResolved' then g.decision
    when p.payload ->> 'sent' = 'true' then 'settled_sent'
    when p.payload ->> 'sent' = 'false' then 'settled_not_sent'
  end as decision,
  t.node_from as decided_by, coalesce(p.payload ->> 'approver', p.payload ->> 'operator', t.node_from) as decider,
  p.payload ->> 'pack' as pack,
  case when jsonb_typeof(p.payload -> 'rules') = 'array' then array(select jsonb_array_elements_text(p.payload -> 'rules')) end
    as rules,
  t.rubric_score,
  p.payload ->> 'content_sha256' as content_sha256,
  p.payload ->> 'code' as code,
  p.payload ->> 'message' as message,
  p.payload -> 'results' as results
from transition t
join (values
  ('ContactAllowed', 'contact', 'passed'), ('ContactBlocked', 'contact', 'blocked'),
  ('EmailPassed', 'content', 'passed'), ('RevisionNeeded', 'content', 'revise'), ('EmailBlocked', 'content', 'blocked'),
  ('ApprovalGranted', 'approval', 'granted'), ('ApprovalDenied', 'approval', 'denied'),
  ('ApprovalExpired', 'approval', 'expired'),
  ('SendingAllowed', 'moment', 'passed'), ('SendingDeferred', 'moment', 'deferred'), ('ReviewOutdated', 'moment', 'outdated'),
  ('SendingHalted', 'send', 'held'), ('SendingTooLate', 'send', 'too_late'), ('SendingStopped', 'send', 'refused'),
  ('EmailSent', 'send', 'sent'), ('EmailUndeliverable', 'send', 'undeliverable'), ('SendingUnknown', 'send', 'unknown'),
  -- By its payload: settled_sent or settled_not_sent.
  ('SendingResolved', 'send', null)
) as g (transition, gate, decision) using (transition)
cross join lateral (
  select case when t.body is json object then t.body::jsonb #> '{detail,payload}' end as payload offset 0
) p;
comment on view gate_decisions is
  'Every decision on the way to an effect: may this person be contacted, may this content go out, did a person agree, is this the moment, was it sent. Narrow it by case_id or opened_on.';
comment on column gate_decisions.opened_on is 'UTC day on which the case was opened.';
comment on column gate_decisions.case_id is 'The case.';
comment on column gate_decisions.tenant is 'Whose case it is.';
comment on column gate_decisions.seq is 'For reading in order.';
comment on column gate_decisions.event_id is 'The event that carries the decision.';
comment on column gate_decisions.event_ts is 'When the producer says that it decided.';
comment on column gate_decisions.gate is 'contact, content, approval, moment or send.';
comment on column gate_decisions.decision is 'passed, blocked, revise, granted, denied, expired, deferred, outdated, held, too_late, refused, sent, undeliverable, unknown, settled_sent or settled_not_sent; null for a settlement whose body is retired.';
comment on column gate_decisions.decided_by is 'The service that decided, or that carries a person''s decision.';
comment on column gate_decisions.decider is 'The person who decided, where one did; else the service.';
comment on column gate_decisions.pack is 'Version of the rule pack; null where none is involved, or once the body is retired.';
comment on column gate_decisions.rules is 'The rules that blocked or deferred it.';
comment on column gate_decisions.rubric_score is 'Judge''s score in basis points, 0 to 10000; null if nothing was judged.';
comment on column gate_decisions.content_sha256 is 'The exact content that was decided on; null where it is about the contact.';
comment on column gate_decisions.code is 'The machine-readable reason.';
comment on column gate_decisions.message is 'The reason for people.';
comment on column gate_decisions.results is 'Each rule''s verdict with the hash of what it read.';

create view tokens_by_agent_and_session as
select
  t.opened_on, t.tenant, t.session_id, t.node_from as agent,
  count(*) as answers,
  sum((c.call ->> 'input_tokens')::bigint)::bigint as input_tokens,
  sum((c.call ->> 'output_tokens')::bigint)::bigint as output_tokens,
  sum((c.call ->> 'loser_tokens')::bigint)::bigint as lost_tokens
from transition t
cross join lateral (
  select case when t.body is json object then t.body::jsonb #> '{detail,model_call}' end as call offset 0
) c
where t.model_id is not null
group by 1, 2, 3, 4;
comment on view tokens_by_agent_and_session is 'What each agent''s models read and wrote in each session. Narrow it by opened_on.';
comment on column tokens_by_agent_and_session.opened_on is 'UTC day on which the cases were opened.';
comment on column tokens_by_agent_and_session.tenant is 'Whose session it is.';
comment on column tokens_by_agent_and_session.session_id is 'The conversation.';
comment on column tokens_by_agent_and_session.agent is 'The service that called the model.';
comment on column tokens_by_agent_and_session.answers is 'Agent runs that called a model.';
comment on column tokens_by_agent_and_session.input_tokens is 'Tokens that the answering model read; null once the bodies are retired.';
comment on column tokens_by_agent_and_session.output_tokens is 'Tokens that the answering model wrote; null once the bodies are retired.';
comment on column tokens_by_agent_and_session.lost_tokens is 'Tokens of calls that did not answer; null once the bodies are retired.';

create view latency_by_agent as
select
  t.opened_on, t.tenant, t.node_from as agent,
  count(*) as tasks,
  percentile_disc(0.50) within group (order by s.step_ms) as p50_ms,
  percentile_disc(0.95) within group (order by s.step_ms) as p95_ms,
  percentile_disc(0.99) within group (order by s.step_ms) as p99_ms,
  percentile_disc(0.50) within group (order by t.latency_ms) as model_p50_ms,
  percentile_disc(0.95) within group (order by t.latency_ms) as model_p95_ms,
  percentile_disc(0.99) within group (order by t.latency_ms) as model_p99_ms,
  max(t.latency_ms) as model_max_ms
from transition t
join transition command
  on command.opened_on = t.opened_on and command.case_id = t.case_id and command.transcript_hash = t.parents[1]
cross join lateral (select (extract(epoch from t.event_ts - command.event_ts) * 1000)::bigint as step_ms) s
where command.node_to = t.node_from and command.time_limit_ms is not null
group by 1, 2, 3;
comment on view latency_by_agent is
  'From a command to its answer or failure, by the producers'' clocks, queueing included; and the model''s share of it. Percentiles are values that occurred. Narrow it by opened_on.';
comment on column latency_by_agent.opened_on is 'UTC day on which the cases were opened.';
comment on column latency_by_agent.tenant is 'Whose cases they are.';
comment on column latency_by_agent.agent is 'The service that was given the task.';
comment on column latency_by_agent.tasks is 'Tasks that ended, either way.';
comment on column latency_by_agent.p50_ms is 'Half of the tasks took at most so many milliseconds.';
comment on column latency_by_agent.p95_ms is '95 of 100 tasks took at most so many milliseconds.';
comment on column latency_by_agent.p99_ms is '99 of 100 tasks took at most so many milliseconds.';
comment on column latency_by_agent.model_p50_ms is 'The same of the model calls; null without any.';
comment on column latency_by_agent.model_p95_ms is 'The same of the model calls; null without any.';
comment on column latency_by_agent.model_p99_ms is 'The same of the model calls; null without any.';
comment on column latency_by_agent.model_max_ms is 'The slowest model call; null without any.';

create view goal_success as
select
  c.opened_on, c.tenant, c.playbook,
  count(*) as cases,
  count(*) filter (where c.outcome in ('answered', 'sent')) as reached,
  count(*) filter (where c.outcome in ('blocked', 'denied', 'stopped', 'no_agent', 'cancelled', 'rejected')) as stopped,
  count(*) filter (where c.closed and coalesce(c.outcome, '') <> all ('{answered,sent,blocked,denied,stopped,no_agent,cancelled,rejected}'::text[]))
    as failed,
  count(*) filter (where not c.closed and not c.late) as open,
  count(*) filter (where not c.closed and c.late) as unended,
  case when bool_or(c.closed or c.late) then
    (10000 * count(*) filter (where c.outcome in ('answered', 'sent')) / count(*) filter (where c.closed or c.late)) end
    as success_bp
from (
  select opened_on, case_id, tenant, playbook, closed, late, case when closed then last_outcome end as outcome
  from (
    select
      opened_on, case_id, min(tenant) as tenant, split_part(min(playbook_version), '/', 1) as playbook,
      -- A case that an operator has tried again reaches its goal, or misses it, with its latest ending.
      count(*) filter (where terminal) > count(*) filter (where transition = 'TaskRetried') as closed,
      min(case_deadline) < clock_timestamp() as late,
      (array_agg(outcome order by seq desc, event_ts desc, recorded_at desc) filter (where terminal))[1] as last_outcome
    from transition
    group by opened_on, case_id
    -- A chain without a graph is no case: an address that was stopped, a playbook that was halted or resumed. A refused
    -- submission has no graph either; it has an outcome, and counts as stopped.
    having min(playbook_version) <> 'none/0' or bool_or(outcome is not null)
  ) t
) c
group by 1, 2, 3;
comment on view goal_success is 'Did the agents finish what they were asked to do? By day, tenant and playbook, with the outcome at the case''s end: one that ended unknown stays failed, whatever a SendingResolved says later (gate_decisions has it). Stopped addresses and halted or resumed playbooks are no cases. Narrow it by opened_on.';
comment on column goal_success.opened_on is 'UTC day on which the cases were opened.';
comment on column goal_success.tenant is 'Whose cases they are.';
comment on column goal_success.playbook is 'The playbook, without its version.';
comment on column goal_success.cases is 'Cases opened, and submissions that were refused (playbook none).';
comment on column goal_success.reached is 'Ended as asked: answered, or sent.';
comment on column goal_success.stopped is 'Ended on purpose without it: by a rule, a person, or because no agent fits; refused submissions.';
comment on column goal_success.failed is 'Ended otherwise: failed, expired, undeliverable, unknown (also where a person settled it later).';
comment on column goal_success.open is 'Under way, within their deadline.';
comment on column goal_success.unended is 'Past their deadline without an ending: must not happen.';
comment on column goal_success.success_bp is 'Reached, of all that ended or should have, in basis points (10000 is all); null if none did.';

create index transition_model on transition (opened_on, node_from) where model_id is not null;
create index transition_label on transition (opened_on, transition);

-- Views of before: every column says what it is, those that pass through as well.
do $$
declare
  of record;
begin
  for of in
    select v.relname as view, a.attname as name, d.description as said
    from pg_class v
    join pg_attribute a on a.attrelid = v.oid and a.attnum > 0
    join pg_attribute s on s.attrelid = 'transition'::regclass and s.attname = a.attname
    join pg_description d on d.objoid = s.attrelid and d.objsubid = s.attnum and d.classoid = 'pg_class'::regclass
    where v.relnamespace = 'audit'::regnamespace and v.relkind = 'v' and col_description(v.oid, a.attnum) is null
  loop
    execute format('comment on column %I.%I is %L', of.view, of.name, of.said);
  end loop;
end
$$;
comment on column case_summary.opened_on is 'UTC day on which the case was opened.';
comment on column case_summary.status is 'closed; open, if the deadline has not passed; else unended, which must not happen.';
comment on column active_hold.hold_id is 'Identity of the hold.';
comment on column active_hold.reason is 'Why, for people.';
comment on column active_hold.placed_by is 'The operator.';
comment on column active_hold.placed_at is 'By this database''s clock.';
comment on column retired_event.part is 'Of which receipt of the case.';
comment on column retired_event.event_id is 'The event.';
comment on column retired_event.transcript_hash is 'Its digest, as the receipt has it.';
comment on column retired_event.parents is 'Its causes, as the receipt has them.';
comment on column retired_event.body_sha256 is 'SHA-256, in hex, of the body that went.';
