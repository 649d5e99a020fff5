-- No step of a case has two outcomes.
select case_id, format('%s events of %s, ordinal %s, after %s: %s', count(*), node_from, ordinal, parents, array_agg(transition)) as found
from audit.transition
group by case_id, parents, node_from, ordinal having count(*) > 1
