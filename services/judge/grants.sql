-- What every producer published, for the function `evidence`; the judge itself cannot read it.
do $$
declare
  role text := current_setting('switchyard.role');
  agent text;
  parts text[] := '{}';
begin
  foreach agent in array array['case_manager'] || string_to_array(current_setting('switchyard.agents'), ',') loop
    parts := parts || format(
      'select %L::text as producer, case_id, type, event from %I.outbox where publish_after < ''infinity''', agent, agent);
  end loop;
  drop view if exists produced;
  execute 'create view produced as ' || array_to_string(parts, ' union all ');
  comment on view produced is 'Every event that some producer stored to publish it. For the functions of this schema.';
  execute format('revoke all on produced from %I', role);
  execute format('grant execute on function evidence(uuid, uuid) to %I', role);
end $$;
