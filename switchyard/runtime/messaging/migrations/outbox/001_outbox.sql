-- The transactional outbox of one producer, in the producer's own schema: every event that it publishes is stored here
-- first, in the transaction that decided it. It inserts the text; the trigger fills in the other columns from it.
create function relay_time() returns timestamptz language sql volatile as $$
  select clock_timestamp() + interval '5 seconds'
$$;
comment on function relay_time is
  'When the relay publishes what is stored now and is not published by then: the process that stored it publishes it at once.';

create table outbox (
  event_id      uuid primary key,
  case_id       uuid not null,
  digest        text not null,
  opened_on     date not null,
  type          text not null,
  node_to       text not null,
  event         text not null,
  stored_at     timestamptz not null default clock_timestamp(),
  publish_after timestamptz not null default relay_time(),
  published_at  timestamptz
);
create index outbox_case on outbox (case_id);
create index outbox_unpublished on outbox (publish_after) where published_at is null;
create index outbox_stored on outbox using brin (stored_at);
comment on table outbox is 'Every event that this producer publishes, as it was stored before it was published.';
comment on column outbox.event is 'The event as JSON text; personal data in it is sealed.';
comment on column outbox.stored_at is 'When it was stored, or released if it was parked.';
comment on column outbox.publish_after is
  'When the relay publishes it unless it is published. A claim of the relay moves it on; infinity while the event is parked.';
comment on column outbox.published_at is 'When the bus had accepted it; null before, and again when it is asked for once more.';

create function read_event() returns trigger language plpgsql as $$
begin
  select e.event_id, e.case_id, e.digest, e.opened_on, e.type, e.node_to
    into new.event_id, new.case_id, new.digest, new.opened_on, new.type, new.node_to
  from json_to_record(new.event::json)
    as e (event_id uuid, case_id uuid, digest text, opened_on date, type text, node_to text);
  return new;
end $$;
create trigger outbox_read_event before insert on outbox for each row execute function read_event();
comment on function read_event is 'Fills in the columns of an outbox row from its event.';

create function events_of(ids uuid[]) returns text language sql stable as $$
  select '[' || string_agg(o.event, ',' order by wanted.place) || ']'
  from unnest(ids) with ordinality as wanted (event_id, place) join outbox o using (event_id)
$$;
comment on function events_of is 'Stored events as a JSON array, in the order of their ids; null for no ids.';

create function republish(wanted uuid) returns boolean
language sql security definer as $$
  update outbox set published_at = null, publish_after = clock_timestamp()
  where event_id = wanted and publish_after < 'infinity'
  returning true
$$;
do $$ begin
  execute format('alter function republish(uuid) set search_path = %I, pg_temp', current_schema());
end $$;
revoke execute on function republish(uuid) from public;
comment on function republish is
  'Have an event published once more. A caller can cause a duplicate, which every consumer drops, and nothing else; null for an event that this producer has not published.';
