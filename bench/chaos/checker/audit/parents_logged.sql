-- Each event's causes are in the log, in its case, with smaller numbers.
select t.case_id, format('%s %s has a cause that is missing or not earlier', t.transition, t.event_id) as found
from audit.transition t cross join unnest(t.parents) as parent
left join audit.transition p on p.case_id = t.case_id and p.transcript_hash = parent
where p.event_id is null or p.seq >= t.seq
