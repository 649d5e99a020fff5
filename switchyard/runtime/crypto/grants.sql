-- The vault: only the case manager makes keys; only agents whose card decrypts something read them; no role changes one.
grant usage on schema vault to case_manager, vault_eraser, reviewer;
grant select, insert, update (tenant) on vault.subject_key to case_manager;

-- Who may destroy a key can neither read nor make one.
grant select (subject, tenant), delete on vault.subject_key to vault_eraser;
grant select on vault.erased_subject to vault_eraser;
grant insert (subject, tenant, erased_by, reason) on vault.erased_subject to vault_eraser;

-- An approver reads the email that a decision is about.
grant select (subject, wrapped_key) on vault.subject_key to reviewer;

do $$
declare
  agent text;
begin
  -- A card that no longer decrypts anything loses the right here.
  foreach agent in array string_to_array(current_setting('switchyard.agents'), ',') loop
    execute format('revoke all on vault.subject_key from %I', agent);
    execute format('revoke all on schema vault from %I', agent);
  end loop;
  foreach agent in array string_to_array(current_setting('switchyard.decrypting_agents'), ',') loop
    execute format('grant usage on schema vault to %I', agent);
    execute format('grant select on vault.subject_key to %I', agent);
  end loop;
end $$;
