-- Operators see what is remembered without what it says, and have it forgotten; reviewers read the ciphertext; the eraser
-- of keys deletes what no key seals.
grant usage on schema memory to operator, reviewer, vault_eraser;
grant execute on function memory.remembered, memory.request_forgetting, memory.forgetting_result to operator;
grant execute on function memory.sealed_memory to reviewer;
grant execute on function memory.erase_person to vault_eraser;
grant execute on function memory.forget_person to memory;
