-- The reconciler sees the ids and digests of what a producer published, not the events, and may ask for them once more.
do $$ begin
  execute format('grant usage on schema %I to reconciler', current_schema());
end $$;
grant select (event_id, case_id, digest, opened_on, type, node_to, stored_at, publish_after, published_at)
  on outbox to reconciler;
grant execute on function republish(uuid) to reconciler;
