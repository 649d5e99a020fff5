-- name: asked
select approval_id, case_id, playbook, content_sha256, pack, reason, requested_by, asked_at, decide_by, command
from approval_queue where state = 'asked'
order by decide_by

-- name: decide
select decide($1, $2, $3, $4, $5, $6, $7)

-- name: decided
select decided($1)

-- name: halt
select halt($1, $2, $3)

-- name: resume
select resume($1, $2, $3)

-- name: cancel
select cancel($1, $2, $3)
