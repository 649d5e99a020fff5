-- Operators see what is remembered without what it says, and have it forgotten; reviewers read the ciphertext; the eraser
-- of keys deletes what no key seals.
grant usage on schema memory to operator, reviewer, vault_eraser;
grant execute on function memory.remembered, memory.request_forgetting, memory.forgetting_result to operator;
grant execute on function memory.sealed_memory to reviewer;
-- Users see and forget their own: the API names them by a fingerprint, and the case manager has checked who asks.
grant usage on schema memory to api;
grant execute on function memory.remembered_by, memory.sealed_memory_by to api;
grant execute on function case_manager.open_forgettings, case_manager.end_forgetting, case_manager.forgettings_of
to memory;
grant execute on function memory.erase_person to vault_eraser;
grant execute on function memory.forget_person to memory;
