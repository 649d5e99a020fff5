-- name: tasks_of_case
select node, event_id::text, claims, failures, last_error, (extract(epoch from completed_at - claimed_at) * 1000)::bigint as work_ms
from console.task where case_id = $1

-- name: unfinished_tasks
select node, event_id::text, case_id::text, type, claims, failures, last_error, claimed_at, lease_until
from console.task where completed_at is null order by claimed_at limit $1

-- name: published
-- A minute is what a delivery may take.
select producer, event_id, case_id::text, digest, opened_on, type, stored_at
from console.published_event
where stored_at between clock_timestamp() - interval '1 hour' and clock_timestamp() - interval '1 minute'
order by stored_at desc limit 5000

-- name: halted
select playbook, by, why, since from case_manager.halted order by playbook

-- name: approvals
select
  approval_id::text, case_id::text, tenant, playbook, content_sha256, pack, reason, requested_by, agreed_by, asked_at,
  decide_by, command
from case_manager.approval_queue where state = 'asked' order by decide_by

-- name: command
select case_manager.command($1, $2, $3, $4, $5, $6, $7)

-- name: commanded
select id::text as command_id, case_manager.commanded(id) as result from unnest($1::uuid[]) as id

-- name: decide
select case_manager.decide($1, $2, $3, $4, $5, $6, $7)

-- name: decided
select case_manager.decided($1)

-- name: unresolved
select case_id::text, content_sha256, intended_at, ended_as from console.unresolved_effect order by intended_at limit $1

-- name: resolve
select console.request_resolution($1, $2, $3, $4, $5, $6, $7, $8)

-- name: resolved
select console.resolution_result($1)

-- name: request_retry
insert into case_manager.retry_request (request_id, case_id, request) values ($1, $2, $3) on conflict do nothing

-- name: retry_answers
select request_id, code, why from case_manager.retry_request where request_id = any($1::uuid[]) and code is not null

-- name: record_disclosure
insert into console.disclosure (case_id, artefact, sha256, opened_by, reason) values ($1, $2, $3, $4, $5)

-- name: disclosures
select artefact, sha256, opened_by, reason, opened_at from console.disclosure where case_id = $1 order by opened_at desc limit 50

-- name: cases_published
select distinct case_id from console.published_event
where producer = $1 and ($2::timestamptz is null or stored_at >= $2) and case_id > $3
order by case_id limit $4

-- name: published_of
select producer, event_id::text, case_id::text, digest, opened_on, type, stored_at as since from console.published_event
where case_id = any($1::uuid[])

-- name: issued
select jti, task_id::text as task, grant_id::text as "grant", case_id::text, agent, audience, scopes, issued_at
from console.issued_credential where case_id = any($1::uuid[])

-- name: lock_checks
select pg_advisory_xact_lock(hashtextextended('console.wide_check', 0))

-- name: start_check
insert into console.wide_check (kind, started_by)
select $1, $2 where not exists (
  select from console.wide_check where ended_at is null and seen_at > clock_timestamp() - make_interval(secs => $3))
returning run_id

-- name: continue_check
update console.wide_check set seen_at = clock_timestamp(), compared = $2 where run_id = $1 returning stopped_by

-- name: end_check
update console.wide_check set seen_at = clock_timestamp(), ended_at = clock_timestamp(), result = $2 where run_id = $1

-- name: stop_check
update console.wide_check set stopped_by = $1
where ended_at is null and stopped_by is null and seen_at > clock_timestamp() - make_interval(secs => $2)

-- name: checks
select run_id, kind, started_by, started_at, compared, stopped_by, ended_at, result,
  ended_at is null and seen_at > clock_timestamp() - make_interval(secs => $1) as running
from console.wide_check order by run_id desc limit 10
