-- name: find_subject
select subject, wrapped_key from vault.find_subject($1, $2)

-- name: add_subject
select subject, wrapped_key from vault.add_subject($1, $2, $3, $4, $5)

-- name: has_key
select vault.has_key($1)

-- name: key_for_task
select subject, wrapped_key, problem from vault.key_for_task($1, $2)

-- name: key_for_answer
select subject, wrapped_key, problem from vault.key_for_answer($1, $2)

-- name: key_for_review
select subject, wrapped_key, problem from vault.key_for_review($1)
