-- What audit may read of this consumer: which events are its outcomes. The events themselves it may not.
create view published as
select
  (o.event ->> 'event_id')::uuid as event_id,
  i.case_id,
  o.event ->> 'digest' as digest,
  (o.event ->> 'opened_on')::date as opened_on,
  o.event ->> 'type' as type,
  o.event ->> 'node_to' as node_to,
  i.completed_at as stored_at,
  o.event::text as event
from inbox i
cross join lateral json_array_elements(i.outputs::json) as o (event)
where i.outputs is not null;
comment on view published is 'Every event that is an outcome of this consumer, as it was stored before it was published.';
comment on column published.stored_at is 'When the outcome was stored; it is published right after, or by whoever finds it.';

-- Summarising: a completion stays an update in place.
create index inbox_completed on inbox using brin (completed_at);
