-- A case that was tried again reaches its goal, or misses it, with its latest ending.
create or replace view goal_success as
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
      opened_on, case_id, min(tenant) as tenant, split_part(min(graph_version), '/', 1) as playbook,
      count(*) filter (where terminal) > count(*) filter (where transition = 'TaskRetried') as closed,
      min(case_deadline) < clock_timestamp() as late,
      (array_agg(outcome order by seq desc, event_ts desc, recorded_at desc) filter (where terminal))[1] as last_outcome
    from transition
    group by opened_on, case_id
  ) t
) c
group by 1, 2, 3;
