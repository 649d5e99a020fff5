-- The vault: only the case manager makes keys; agents and reviewers get one at a time, by case; no role lists any.
revoke all on all tables in schema vault from case_manager, vault_eraser, reviewer;
grant usage on schema vault to case_manager, vault_eraser, reviewer;
grant execute on function vault.find_subject, vault.add_subject, vault.has_key to case_manager;
-- What a user says about a case is sealed for the person whom the case is about.
grant execute on function vault.key_for_review to case_manager;

-- Who may destroy a key can neither read nor make one.
grant select (subject, tenant), delete on vault.subject_key to vault_eraser;
grant select on vault.erased_subject to vault_eraser;
grant insert (subject, tenant, erased_by, reason) on vault.erased_subject to vault_eraser;

-- An approver reads the email that a decision is about, and a reviewer the answer of a case.
grant execute on function vault.key_for_review to reviewer;

do $$
declare
  agent text;
begin
  -- A card that no longer decrypts anything loses the right here.
  foreach agent in array string_to_array(current_setting('switchyard.agents'), ',') loop
    execute format('revoke all on all tables in schema vault from %I', agent);
    execute format('revoke all on function vault.key_for_task from %I', agent);
    execute format('revoke all on schema vault from %I', agent);
  end loop;
  delete from vault.card;
  insert into vault.card (node, artefact, playbooks, observes)
  select c.node, a.artefact, array(select json_array_elements_text(c.playbooks)), c.observes
  from json_to_recordset(current_setting('switchyard.cards')::json)
    as c (node text, decrypts json, playbooks json, observes boolean)
  cross join lateral json_array_elements_text(c.decrypts) as a (artefact);
  for agent in select distinct node from vault.card loop
    execute format('grant usage on schema vault to %I', agent);
    execute format('grant execute on function vault.key_for_task to %I', agent);
  end loop;
end $$;
