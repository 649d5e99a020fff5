-- The rights of a schema's own role: rows of its tables, and nothing more. Run in that schema after its migrations.
do $$
declare
  schema text := current_schema();
  role text := current_setting('switchyard.role');
begin
  execute format('grant usage on schema %I to %I', schema, role);
  execute format('grant select, insert, update, delete on all tables in schema %I to %I', schema, role);
  execute format('grant usage on all sequences in schema %I to %I', schema, role);
  execute format('revoke all on migration from %I', role);
end $$;
