-- name: ask
insert into approval (
  approval_id, case_id, tenant, playbook, content_sha256, pack, reason, requested_by, asked_at, decide_by
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (approval_id) do nothing

-- name: open_decisions
select d.decision_id, d.approval_id, d.verdict, d.content_sha256, d.approver, d.why, d.signed_at, d.signature,
  a.case_id, a.tenant, a.playbook, a.content_sha256 as asked_content, a.pack, a.state, a.requested_by, a.decide_by,
  p.command,
  exists (select from latest_ending ended where ended.case_id = a.case_id) as closed
from approval_decision d
left join approval a using (approval_id)
left join pending_command p on p.task_id = d.approval_id
where d.result is null and d.decision_id::text <> all($2::text[])
order by d.asked_at
limit $1

-- name: record_result
update approval_decision set result = $2 where decision_id = $1 and result is null

-- name: lock_approval
select state from approval where approval_id = $1 for update

-- name: agree
insert into approval_grant (approval_id, approver, why, signed_at, signature, granted_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (approval_id, approver) do nothing

-- name: agreed
select approver, why, signed_at, signature from approval_grant where approval_id = $1 order by granted_at, approver

-- name: decide
update approval set state = $2, decided_at = $3, valid_until = $4 where approval_id = $1 and state = 'asked'

-- name: expire
update approval set state = 'expired', decided_at = $2 where approval_id = $1 and state = 'asked'
