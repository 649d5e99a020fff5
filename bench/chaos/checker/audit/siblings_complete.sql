-- All children of a cause are in the log.
select case_id, format('%s of %s children by %s after %s', count(distinct ordinal), max(siblings), node_from, parents) as found
from audit.transition where parents <> '{}'
group by case_id, parents, node_from, siblings having count(distinct ordinal) <> max(siblings)
