-- The identity service asks about one task at a time; it sees no other table of others.
do $$ begin
  execute format('grant execute on function open_task to %I', current_setting('switchyard.role'));
end $$;

-- The reconciler compares what was issued with what the log says was used.
grant usage on schema identity to reconciler;
grant select on identity.issued_token to reconciler;
