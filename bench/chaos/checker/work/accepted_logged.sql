-- Each accepted case is in the log from its first event on.
select s.case_id, case when i.case_id is null then 'never accepted' else 'its first event is not in the log' end as found
from submitted s left join case_manager.submission i using (case_id) left join logged l on l.event_id = i.opened_id
where l.event_id is null
