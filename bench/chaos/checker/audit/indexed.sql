-- Each row of the log has one log index, and the indexes have no gap.
select coalesce(t.case_id::text, 'none') as case_id,
  case when t.event_id is null then format('index %s has no row', e.log_index) else format('%s has no index', t.event_id) end as found
from audit.transition t full join audit.log_entry e using (opened_on, event_id)
where t.event_id is null or e.event_id is null
union all
select 'all', format('%s indexes from 1 to %s', count(*), max(log_index)) from audit.log_entry
having count(*) <> coalesce(max(log_index), 0) or min(log_index) <> 1
