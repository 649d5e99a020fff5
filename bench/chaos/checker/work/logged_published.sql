-- Each event in the log was stored by its producer; the router alone stores nothing.
select l.case_id, format('%s of %s, %s, is in no outbox', l.type, l.node_from, l.event_id) as found
from logged l left join published p on p.event_id = l.event_id and p.node = l.node_from
where p.event_id is null and l.node_from <> 'router'
