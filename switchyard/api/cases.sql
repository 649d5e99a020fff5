-- name: subject_of
select vault.subject_of($1, $2)::text

-- name: rejection
select code, message, field, remedy, rejected_at from case_manager.rejection_of($1, $2)

-- name: events
select * from (
  select
    row_number() over (order by log_index) as place_in_case, event_id::text, seq, node_from, node_to, transition, event_ts,
    case_deadline, terminal, outcome, parents, transcript_hash, tenant, session_id, subject::text, payload::text
  from caller_event where case_id = $1
) e
where place_in_case > $2
order by place_in_case

-- name: place
select storage_refs -> $2 #>> '{}' as place from caller_event where case_id = $1 and storage_refs ? $2 limit 1

-- name: page
select f.opened_on, f.case_id, f.session_id, f.event_ts as opened_at, f.case_deadline, e.closed, e.outcome
from caller_event f
left join lateral (
  -- As in case_summary: closed with more endings than retries; the latest ending has the outcome.
  select
    count(*) filter (where t.terminal) > count(*) filter (where t.transition = 'TaskRetried') as closed,
    (array_agg(t.outcome order by t.log_index desc) filter (where t.terminal))[1] as outcome
  from caller_event t
  where t.opened_on = f.opened_on and t.case_id = f.case_id and (t.terminal or t.transition = 'TaskRetried')
) e on true
where f.parents = '{}' and f.subject = $1::uuid and f.tenant = $2
  and ($3::text is null or f.session_id = $3)
  and ($4::date is null or (f.opened_on, f.event_ts, f.case_id) < ($4, $5::timestamptz, $6::uuid))
order by f.opened_on desc, f.event_ts desc, f.case_id desc
limit $7

-- name: record_disclosure
insert into disclosure (case_id, artefact, sha256, opened_by) values ($1, $2, $3, $4)
