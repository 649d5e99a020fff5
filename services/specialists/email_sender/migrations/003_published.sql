-- The email sender publishes two kinds of events of its own: outcomes, and what a person settled later.
create or replace view published as
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
where i.outputs is not null
union all
select
  (p.event ->> 'event_id')::uuid,
  t.case_id,
  p.event ->> 'digest',
  (p.event ->> 'opened_on')::date,
  p.event ->> 'type',
  p.event ->> 'node_to',
  t.settled_at,
  t.event
from settlement t
cross join lateral (select t.event::json as event offset 0) p
where t.event is not null;
comment on view published is 'Every event that the email sender published, as it was stored before.';
create index settlement_case on settlement (case_id);
