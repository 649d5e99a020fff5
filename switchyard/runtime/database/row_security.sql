-- Row security of an agent's schema. A table with a column `tenant` whose default is the scope's shows the rows of the
-- transaction's scope only; so do `user_id` and `session_id`, where it has them. A table that has another column of that
-- name states its own policies: a second one would widen them.
do $$
declare
  found record;
begin
  for found in
    select c.oid::regclass::text as name,
      string_agg(format('%I = scope(%L)', a.attname, p.part), ' and ') as in_scope
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
    join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    join (values ('tenant', 'tenant'), ('user_id', 'user'), ('session_id', 'session')) p (name, part)
      on p.name = a.attname and pg_get_expr(d.adbin, d.adrelid) = format('scope(%L::text)', p.part)
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
      and not exists (select from pg_policy where polrelid = c.oid and polname = 'session_scope')
    group by c.oid
    having bool_or(a.attname = 'tenant')
  loop
    execute format('alter table %1$s enable row level security, force row level security', found.name);
    execute format('create policy session_scope on %1$s using (%2$s) with check (%2$s)', found.name, found.in_scope);
  end loop;
end $$;
