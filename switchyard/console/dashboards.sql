-- name: usage
select agent, tenant, opened_on, model_id, count(*) as answers, sum(input_tokens)::bigint as input_tokens,
  sum(output_tokens)::bigint as output_tokens, sum(lost_tokens)::bigint as lost_tokens,
  count(*) filter (where role = 'fallback') as fallbacks
from step_figures where opened_on between $1 and $2 and ($3::text[] is null or tenant = any($3)) and model_id is not null group by 1, 2, 3, 4

-- name: sessions
-- The sessions with the most tokens, by model: each has its price.
select session_id, tenant, model_id, count(*) as answers, count(*) filter (where role = 'fallback') as fallbacks,
  sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
  sum(lost_tokens)::bigint as lost_tokens
from step_figures
join (
  select session_id, tenant from step_figures
  where opened_on between $1 and $2 and ($3::text[] is null or tenant = any($3)) and model_id is not null
  group by 1, 2 order by sum(input_tokens + output_tokens) desc limit 20
) most using (session_id, tenant)
where opened_on between $1 and $2 and ($3::text[] is null or tenant = any($3)) and model_id is not null
group by 1, 2, 3

-- name: latency
-- What the case manager answers waits for a person or a time.
select agent, count(*) as tasks,
  percentile_disc(0.50) within group (order by step_ms) as p50_ms,
  percentile_disc(0.95) within group (order by step_ms) as p95_ms,
  percentile_disc(0.99) within group (order by step_ms) as p99_ms
from step_figures
where opened_on between $1 and $2 and ($3::text[] is null or tenant = any($3)) and step_ms is not null and agent <> 'case_manager'
group by 1 order by 4 desc

-- name: whole_cases
select playbook, count(*) as cases,
  percentile_disc(0.50) within group (order by duration_ms) as p50_ms,
  percentile_disc(0.95) within group (order by duration_ms) as p95_ms,
  percentile_disc(0.99) within group (order by duration_ms) as p99_ms
from case_figures where opened_on between $1 and $2 and ($3::text[] is null or tenant = any($3)) and duration_ms is not null
group by 1 order by 2 desc

-- name: goals
-- As in the view goal_success.
select c.playbook, count(*) as cases,
  count(*) filter (where o.class = 'reached' and c.thumb is distinct from 'down') as reached,
  count(*) filter (where o.class = 'stopped') as stopped,
  count(*) filter (where c.closed and (o.class = 'failed' or c.outcome is null or (o.class = 'reached' and c.thumb = 'down')))
    as failed,
  count(*) filter (where not c.closed and c.case_deadline >= clock_timestamp()) as open,
  count(*) filter (where not c.closed and c.case_deadline < clock_timestamp()) as unended,
  count(*) filter (where c.thumb = 'up') as thumbs_up,
  count(*) filter (where c.thumb = 'down') as thumbs_down
from case_figures c left join outcome_class o on o.outcome = c.outcome
where c.opened_on between $1 and $2 and ($3::text[] is null or c.tenant = any($3)) and c.playbook <> 'none'
group by 1 order by 1

-- name: judged
-- Beside goal success, never in it.
select playbook, count(*) filter (where closed) as ended, count(*) filter (where judged is not null) as judged,
  count(*) filter (where judged = 'pass') as passed
from case_figures where opened_on between $1 and $2 and ($3::text[] is null or tenant = any($3)) and playbook <> 'none'
group by 1 having count(*) filter (where judged is not null) > 0 order by 1

-- name: failovers
select agent, reason, left_vendor, vendor, count(*) as answers
from step_figures where opened_on between $1 and $2 and ($3::text[] is null or tenant = any($3)) and role = 'fallback' group by 1, 2, 3, 4 order by 5 desc limit 30

-- name: not_counted
select greatest(coalesce((select max(log_index) from log_entry), 0) - log_index, 0) from figures_cursor
