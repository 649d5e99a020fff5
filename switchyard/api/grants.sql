-- What the API may do in the schemas of others: find the person who asks, and read what they were answered.
do $$
declare
  role text := current_setting('switchyard.role');
begin
  execute format('revoke update, delete on disclosure from %I', role);
  execute format('revoke insert on disclosure from %I', role);
  execute format('grant insert (case_id, artefact, sha256, opened_by) on disclosure to %I', role);

  execute format('grant usage on schema vault, case_manager to %I', role);
  execute format('revoke all on function vault.key_for_review from %I', role);
  execute format(
    'grant execute on function vault.subject_of, vault.key_for_answer, case_manager.rejection_of,
      case_manager.forgetting_of to %I', role);
  if current_setting('switchyard.answer_readers') <> '' then
    -- Some role in users' tokens reads the answers of others.
    execute format('grant execute on function vault.key_for_review to %I', role);
  end if;
end $$;
