create function scope(part text) returns text language sql stable as $$
  select nullif(current_setting('switchyard.' || part, true), '')
$$;
comment on function scope is
  'Part of the scope that this transaction has: tenant, user or session (switchyard.runtime.database.session_scope); null without one.';
