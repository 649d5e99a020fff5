-- The ending that the case manager stored is the one in the log.
select s.case_id, format('%s endings stored, %s in the log', count(distinct e.event_id), count(distinct l.event_id)) as found
from submitted s left join case_manager.case_ending e using (case_id)
left join logged l on l.event_id = e.event_id and l.type = 'CaseClosed'
group by s.case_id having count(distinct e.event_id) <> 1 or count(distinct l.event_id) <> 1
