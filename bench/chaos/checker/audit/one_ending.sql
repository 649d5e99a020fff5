-- Each submitted case has exactly one ending.
select s.case_id, format('%s endings', count(t.event_id)) as found
from submitted s left join audit.transition t on t.case_id = s.case_id and t.terminal
group by s.case_id having count(t.event_id) <> 1
