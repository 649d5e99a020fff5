-- name: cases
select
  s.case_id::text as case_id, coalesce(s.outcome, 'open') as outcome, coalesce(s.code, '') as code, s.hops,
  coalesce(s.duration_ms, 0) as duration_ms,
  coalesce(t.payload ->> 'message', '') as message,
  calls.last::text as call,
  coalesce(calls.failovers, 0) as failovers
from audit.case_summary s
left join audit.transition_detail t
  on t.opened_on = s.opened_on and t.case_id = s.case_id and t.transition in ('CaseClosed', 'SubmissionRejected')
left join lateral (
  select
    (array_agg(d.model_call order by d.seq desc))[1] as last,
    count(*) filter (where d.model_call ->> 'role' = 'fallback') as failovers
  from audit.transition_detail d
  where d.opened_on = s.opened_on and d.case_id = s.case_id and d.model_call ->> 'vendor' is not null
) calls on true
where s.case_id = any($1::uuid[])
order by s.opened_at

-- name: progress
select
  count(distinct case_id) as cases,
  count(distinct case_id) filter (where terminal) as closed,
  count(*) as transitions
from audit.transition

-- name: figures
select count(*) as audit_rows, count(distinct event_id) as distinct_events from audit.transition

-- name: hops
select
  c.node_from as node,
  (percentile_disc(0.5) within group (order by c.event_ts - p.event_ts)) as p50,
  (percentile_disc(0.95) within group (order by c.event_ts - p.event_ts)) as p95
from audit.transition c
join audit.transition p
  on p.opened_on = c.opened_on and p.case_id = c.case_id and p.transcript_hash = c.parents[1]
group by c.node_from
order by c.node_from

-- name: stored_events
-- The router follows an event with one, a fan-out with one for each branch and the gather. A later turn begins with a
-- recall and its gather; an answer is kept besides, and nothing follows from a turn that could not be kept.
select count(*) as stored, coalesce(sum(1 + case
    when type = 'AgentsChosen' and event::json #>> '{payload,mode}' = 'sequence' then 1
    when type = 'AgentsChosen' then json_array_length(event::json #> '{payload,branches}')
    when type = 'BranchesJoined' and event::json #>> '{state,plan,mode}' = 'sequence'
      and json_array_length(event::json #> '{state,plan,results}') + 1 < json_array_length(event::json #> '{state,plan,branches}')
      and event::json #> '{payload,results,0,answer}' is not null then 1
    when type = 'CaseOpened' and coalesce(event::json #>> '{payload,previous_case}', event::json #>> '{payload,remember}')
      is not null then 1
    when type = 'AnswerDrafted' and event::json ->> 'playbook_version' = 'assist/4' then 1
    when type = 'TaskFailed' and event::json #>> '{payload,task_type}' = 'KeepTurn' then -1
    when type = 'TaskRetried' then coalesce(json_array_length(event::json #> '{payload,command,payload,branches}'), 0)
    else 0
  end) filter (where node_to = 'router'), 0)::bigint as routed
from outbox where publish_after < 'infinity' and ($1::uuid[] is null or case_id = any($1))

-- name: closed_emails
select case_id from case_manager.case_ending where case_id = any($1::uuid[])

-- name: asked_emails
select approval_id, case_id, command from case_manager.approval_queue where state = 'asked' and case_id = any($1::uuid[])

-- name: resting_emails
select count(*) from case_manager.pending_command where kind = 'time' and answer_id is null and case_id = any($1::uuid[])

-- name: stopped_addresses
select count(*) from case_manager.control where kind = 'suppressed_address'

-- name: email_cases
select
  d.case_id::text as case_id,
  max(d.payload ->> 'outcome') filter (where d.transition = 'CaseClosed') as outcome,
  max(d.payload ->> 'message') filter (where d.transition = 'CaseClosed') as message,
  max(d.payload ->> 'approver') filter (where d.transition in ('ApprovalGranted', 'ApprovalDenied')) as approver,
  count(*) filter (where d.transition = 'EmailDrafted') as drafts,
  max(d.payload ->> 'content_sha256') filter (where d.transition = 'EmailSent') as sent_sha256,
  array_agg(d.payload ->> 'content_sha256') filter (where d.transition = 'EmailPassed') as passed_sha256,
  array_agg(d.payload ->> 'content_sha256') filter (where d.transition = 'ApprovalGranted') as approved_sha256,
  (array_agg(d.payload -> 'rules') filter (where d.transition = 'CaseClosed'))[1]::text as rules,
  (array_agg(d.payload -> 'rules') filter (where d.transition = 'SendingDeferred'))[1]::text as deferred
from audit.transition_detail d
where d.case_id = any($1::uuid[])
group by d.case_id
order by min(d.event_ts), d.case_id
