-- name: recorded
select outcome, payload::text, places::text, model_call::text, rubric_score
from verdict
where task_id = $1::uuid

-- name: record
insert into verdict (
    task_id, case_id, stage, outcome, pack, purpose, account_sha256, content_sha256, rules, rubric_score,
    approval, payload, places, model_call, recorded_at, retain_until
)
values (
    $1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb, $13::text::jsonb,
    $14::text::jsonb, $15, $16
)
on conflict (task_id) do nothing

-- name: passes
-- The last review of exactly this content decides: a later one that did not pass takes an earlier pass back.
select distinct on (pack) pack, outcome
from verdict
where case_id = $1::uuid and content_sha256 = $2 and account_sha256 = $3 and purpose = $4 and stage = 'email'
order by pack, number desc
