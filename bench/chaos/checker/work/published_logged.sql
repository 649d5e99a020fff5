-- Each event that a producer published is in the log, as it was stored.
select p.case_id, format('%s of %s, %s, %s', p.type, p.node, p.event_id,
  case when l.event_id is null then 'is not in the log' else 'is in the log with another digest' end) as found
from published p left join logged l using (event_id)
where p.publish_after < 'infinity' and l.digest is distinct from p.digest
