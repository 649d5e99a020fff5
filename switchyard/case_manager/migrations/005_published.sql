alter table held add column answered_at timestamptz;
comment on column held.answered_at is 'When the answer was stored.';

-- What audit may read of the case manager: which events it published. The events themselves it may not.
create view published as
select
  (p.event ->> 'event_id')::uuid as event_id,
  s.case_id,
  p.event ->> 'digest' as digest,
  (p.event ->> 'opened_on')::date as opened_on,
  p.event ->> 'type' as type,
  p.event ->> 'node_to' as node_to,
  s.stored_at,
  s.event
from (
  select case_id, received_at, opened from submission where not parked
  union all
  select case_id, closed_at, event from closed
  union all
  select case_id, retried_at, event from retry
  union all
  select case_id, coalesce(answered_at, held_at), answer from held where answer is not null
  union all
  select (event::json ->> 'case_id')::uuid, at, event from notice where event is not null
  union all
  select (event::json ->> 'case_id')::uuid, rejected_at, event from rejection
) as s (case_id, stored_at, event)
-- offset 0 keeps the planner from parsing the event once for each column.
cross join lateral (select s.event::json as event offset 0) p;
comment on view published is 'Every event that the case manager published, from the tables in which it was stored before. A table that keeps events of its own belongs in here.';

create index rejection_case on rejection (((event::json ->> 'case_id')::uuid));
create index notice_case on notice (((event::json ->> 'case_id')::uuid)) where event is not null;
