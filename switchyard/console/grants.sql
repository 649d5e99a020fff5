-- What the console may do in the schemas of others: read queues and views, hand in what people signed, and nothing else.
do $$
declare
  role text := current_setting('switchyard.role');
  agent text;
  parts text[] := '{}';
begin
  execute format('revoke update, delete on disclosure from %I', role);
  execute format('revoke insert on disclosure from %I', role);
  execute format('grant insert (case_id, artefact, sha256, opened_by, reason) on disclosure to %I', role);

  execute format('revoke insert, update, delete on wide_check from %I', role);
  execute format('grant insert (kind, started_by), update (seen_at, compared, stopped_by, ended_at, result) on wide_check to %I', role);

  execute format('grant select on unresolved_effect to %I', role);
  revoke execute on function request_resolution, resolution_result from public;
  execute format('grant execute on function request_resolution, resolution_result to %I', role);

  execute format('grant usage on schema case_manager, vault to %I', role);
  execute format('grant select on case_manager.approval_queue, case_manager.halted to %I', role);
  execute format(
    'grant execute on function case_manager.command, case_manager.commanded, case_manager.decide, case_manager.decided to %I',
    role);
  execute format(
    'grant select (request_id, code, why), insert (request_id, case_id, request) on case_manager.retry_request to %I', role);
  execute format('grant execute on function vault.key_for_review to %I', role);

  -- The inboxes of all agents as one view, without what a handler was given.
  foreach agent in array string_to_array(current_setting('switchyard.agents'), ',') loop
    parts := parts || format(
      'select %L::text as node, event_id, case_id, type, claims, failures, last_error, claimed_at, completed_at, lease_until from %I.inbox',
      agent, agent);
  end loop;
  drop view if exists task;
  execute 'create view task as ' || array_to_string(parts, ' union all ');
  comment on view task is 'Every task that some agent has or had in its inbox.';
  execute format('grant select on task to %I', role);

  -- What all producers published, without the events.
  parts := '{}';
  foreach agent in array array['case_manager'] || string_to_array(current_setting('switchyard.agents'), ',') loop
    parts := parts || format(
      'select %L::text as producer, event_id, case_id, digest, opened_on, type, stored_at from %I.outbox where publish_after < ''infinity''',
      agent, agent);
  end loop;
  drop view if exists published_event;
  execute 'create view published_event as ' || array_to_string(parts, ' union all ');
  comment on view published_event is 'Every event that some producer stored to publish it.';
  execute format('grant select on published_event to %I', role);

  -- Tokens that agents were given, by id, without the tokens; where no application has them, a view without a row.
  drop view if exists issued_credential;
  if to_regclass('identity.issued_token') is null then
    create view issued_credential as
    select ''::text as jti, null::uuid as task_id, null::uuid as grant_id, null::uuid as case_id, ''::text as agent,
      ''::text as audience, '{}'::text[] as scopes, null::timestamptz as issued_at where false;
  else
    create view issued_credential as
    select jti, task_id, grant_id, case_id, agent, audience, scopes, issued_at from identity.issued_token;
  end if;
  comment on view issued_credential is 'Which credentials agents were given.';
  execute format('grant select on issued_credential to %I', role);
end $$;
