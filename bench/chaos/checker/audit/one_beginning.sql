-- Each submitted case has exactly one first event.
select s.case_id, format('%s first events', count(t.event_id)) as found
from submitted s left join audit.transition t on t.case_id = s.case_id and t.parents = '{}' and t.seq = 0
group by s.case_id having count(t.event_id) <> 1
