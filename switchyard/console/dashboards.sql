-- name: usage
select agent, tenant, opened_on, model_id, sum(answers)::bigint as answers, sum(input_tokens)::bigint as input_tokens,
  sum(output_tokens)::bigint as output_tokens, sum(lost_tokens)::bigint as lost_tokens,
  sum(answers) filter (where role = 'fallback')::bigint as fallbacks
from model_usage where opened_on between $1 and $2 group by 1, 2, 3, 4

-- name: sessions
select session_id, tenant, sum(answers)::bigint as answers, sum(input_tokens)::bigint as input_tokens,
  sum(output_tokens)::bigint as output_tokens
from tokens_by_agent_and_session where opened_on between $1 and $2
group by 1, 2 order by sum(input_tokens) + sum(output_tokens) desc nulls last limit 20

-- name: session_usage
select t.session_id, t.tenant, t.model_id, count(*) as answers,
  count(*) filter (where c.call ->> 'role' = 'fallback') as fallbacks,
  sum(whole_number(c.call -> 'input_tokens'))::bigint as input_tokens,
  sum(whole_number(c.call -> 'output_tokens'))::bigint as output_tokens,
  sum(whole_number(c.call -> 'loser_tokens'))::bigint as lost_tokens
from transition t
cross join lateral (select audit.json_of(t.body) #> '{detail,model_call}' as call offset 0) c
where t.opened_on between $1 and $2 and t.model_id is not null and t.session_id = any($3::text[])
group by 1, 2, 3

-- name: latency
select
  t.node_from as agent, count(*) as tasks,
  percentile_disc(0.50) within group (order by s.step_ms) as p50_ms,
  percentile_disc(0.95) within group (order by s.step_ms) as p95_ms,
  percentile_disc(0.99) within group (order by s.step_ms) as p99_ms
from transition t
join transition command
  on command.opened_on = t.opened_on and command.case_id = t.case_id and command.transcript_hash = t.parents[1]
cross join lateral (select milliseconds(command.event_ts, t.event_ts) as step_ms) s
where t.opened_on between $1 and $2 and command.node_to = t.node_from and command.time_limit_ms is not null
  -- What the case manager answers waits for a person or a time.
  and command.node_to <> 'case_manager'
group by 1 order by 4 desc

-- name: whole_cases
select split_part(f.playbook_version, '/', 1) as playbook, count(*) as cases,
  percentile_disc(0.50) within group (order by d.ms) as p50_ms,
  percentile_disc(0.95) within group (order by d.ms) as p95_ms,
  percentile_disc(0.99) within group (order by d.ms) as p99_ms
from transition e
join transition f on f.opened_on = e.opened_on and f.case_id = e.case_id and f.parents = '{}'
cross join lateral (select milliseconds(f.event_ts, e.event_ts) as ms) d
where e.terminal and e.opened_on between $1 and $2 and f.event_id <> e.event_id
group by 1 order by 2 desc

-- name: goals
select opened_on, playbook, sum(cases)::bigint as cases, sum(reached)::bigint as reached, sum(stopped)::bigint as stopped,
  sum(failed)::bigint as failed, sum(open)::bigint as open, sum(unended)::bigint as unended,
  sum(thumbs_up)::bigint as thumbs_up, sum(thumbs_down)::bigint as thumbs_down
from goal_success where opened_on between $1 and $2 and playbook <> 'none'
group by 1, 2 order by 1, 2

-- name: failovers
select agent, reason, left_vendor, vendor, count(*) as answers
from failovers where opened_on between $1 and $2 group by 1, 2, 3, 4 order by 5 desc limit 30
