-- The sequence numbers of a case have no gap.
select case_id, format('%s numbers from 0 to %s', count(distinct seq), max(seq)) as found
from audit.transition group by case_id having count(distinct seq) <> max(seq) + 1
