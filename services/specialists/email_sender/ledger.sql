-- name: lock
-- The upsert locks the row until the end of the transaction, whether it is new or not.
insert into send_lock as l (case_id, content_sha256) values ($1, $2)
on conflict (case_id, content_sha256) do update set case_id = l.case_id

-- name: entry
select command_id::text, attempt, approval_id::text, state, provider_message_id, code, intended_at
from sending where case_id = $1 and content_sha256 = $2

-- name: preconditions
select f.subject_key, f.sealed_address, f.ending_outcome, f.cancelled, f.halted, f.suppressed,
  v.reviewed, v.review_pack, v.approval, v.checked, v.check_pack, v.valid_until
from case_manager.effect_facts($1) f cross join lateral compliance.sending_verdict($1, $2) v

-- name: unseen_commands
-- $1 the case, $2 its playbook. A command that was committed late may be older than one that was seen: hence ten minutes.
select c.*
from unnest(array[$1::text, $2::text]) t (target)
cross join lateral case_manager.commands_on(
  $1::text::uuid, t.target,
  coalesce((select max(received_at) from seen_command s where s.target = t.target), '-infinity') - interval '10 minutes'
) c
where not exists (select from seen_command s where s.command_id = c.command_id)
order by c.received_at
limit $3

-- name: add_seen
-- $7 is now by the service's clock, which signers share; received_at is by the database's. In a local stack they differ.
insert into seen_command (command_id, action, target, signed_at, received_at, signed, fresh)
select c.*, abs(extract(epoch from received_at - signed_at + ($7::timestamptz - clock_timestamp()))) <= 900
from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::boolean[])
  c (command_id, action, target, signed_at, received_at, signed)
on conflict do nothing

-- name: believe_resumptions
-- One that seemed stale while this service's clock was wrong counts once the clock is right: else the case manager, which
-- took it, and this service would disagree for ever.
update seen_command set fresh = true
where not fresh and signed and action = 'resume' and target = $1
  and abs(extract(epoch from received_at - signed_at + ($2::timestamptz - clock_timestamp()))) <= 900

-- name: is_stopped
select cancelled, halted from is_stopped($1, $2)

-- name: approval
select approval_id::text, case_id::text, content_sha256, pack, state, valid_until, grants
from case_manager.effect_approval($1)

-- name: take_turn
-- $3 domain, $4 now, $5 seconds between two emails, $6 how many may go at once.
with known as (
  select due_at from turn where case_id = $1 and content_sha256 = $2
),
bucket as (
  insert into domain_rate as b (domain_key, next_at)
  select $3, $4::timestamptz + make_interval(secs => $5) where not exists (select from known)
  on conflict (domain_key) do update
    set next_at = greatest(b.next_at, $4::timestamptz) + make_interval(secs => $5)
  returning next_at - make_interval(secs => $5 * $6) as due_at
),
taken as (
  insert into turn (case_id, content_sha256, due_at)
  select $1, $2, greatest(due_at, $4::timestamptz) from bucket
  returning due_at
)
select due_at from known union all select due_at from taken

-- name: give_back_turn
delete from turn where case_id = $1 and content_sha256 = $2

-- name: intend
insert into sending as s (case_id, content_sha256, command_id, pack, approval_id, state, intended_at)
values ($1, $2, $3, $4, $5, 'intended', $6)
on conflict (case_id, content_sha256) do update
  set command_id = excluded.command_id,
      attempt = s.attempt + 1,
      pack = excluded.pack,
      approval_id = excluded.approval_id,
      state = 'intended',
      code = null,
      intended_at = excluded.intended_at,
      answered_at = null
  where s.state in ('released', 'refused')
returning attempt

-- name: record
update sending
set state = $4, provider_message_id = $5, code = $6, answered_at = $7
where case_id = $1 and content_sha256 = $2 and attempt = $3 and state = 'intended'
returning true

-- name: give_up
update sending
set state = 'unknown', command_id = $3
where case_id = $1 and content_sha256 = $2 and state = 'intended'

-- name: resolve_late
-- The provider's answer came after the outcome was given up as unknown: it is resolved without a person.
with known as (
  update sending
  set state = case when $4::text is null then 'refused' else 'sent' end, provider_message_id = $4, answered_at = $5
  where case_id = $1 and content_sha256 = $2 and attempt = $3 and state = 'unknown'
  returning command_id, case_id, content_sha256
)
insert into resolution (command_id, case_id, content_sha256, sent, provider_message_id, operator, evidence)
select command_id, case_id, content_sha256, $4::text is not null, $4, 'service:email_sender', $6 from known
on conflict (command_id) do nothing

-- name: unresolved
select case_id::text, content_sha256, intended_at, ended_as from email_sender.unresolved_send order by intended_at limit $1

-- name: undecided_resolutions
select r.resolution_id, r.case_id::text, r.content_sha256, r.provider_message_id, r.operator, r.evidence, r.signed_at,
  r.signature, (select o.event from outbox o where o.case_id = r.case_id limit 1) as event
from resolution_request r where r.decided_at is null and r.resolution_id::text <> all($2::text[])
order by r.received_at limit $1

-- name: lock_resolution
select true from resolution_request where resolution_id = $1 and decided_at is null for update

-- name: decide_resolution
update resolution_request set decided_at = clock_timestamp(), result = $2 where resolution_id = $1

-- name: resolve
with wanted as (
  select * from resolution_request where resolution_id = $1
),
resolved as (
  update sending s
  set state = case when w.provider_message_id is null then 'refused' else 'sent' end,
      provider_message_id = w.provider_message_id,
      answered_at = clock_timestamp()
  from wanted w, unresolved_send u
  where s.case_id = w.case_id and s.content_sha256 = w.content_sha256 and s.state in ('intended', 'unknown')
    and u.command_id = s.command_id
    -- What an operator found out before this attempt says nothing about it.
    and w.signed_at > s.intended_at
  returning s.command_id
)
insert into resolution (
  command_id, case_id, content_sha256, sent, provider_message_id, operator, evidence, resolution_id, signed_at, signature
)
select r.command_id, w.case_id, w.content_sha256, w.provider_message_id is not null, w.provider_message_id, w.operator,
  w.evidence, w.resolution_id, w.signed_at, w.signature
from resolved r, wanted w

-- name: unreported
select r.command_id, r.content_sha256, r.sent, r.provider_message_id, r.operator, r.evidence,
  r.resolution_id::text, r.signed_at, r.signature, o.event as outcome
from resolution r
join inbox i on i.event_id = r.command_id
join outbox o on o.event_id = i.outputs[1]
where r.event_id is null and r.command_id::text <> all($2::text[])
order by r.resolved_at
limit $1

-- name: store_report
insert into outbox (event) values ($1) on conflict (event_id) do nothing

-- name: mark_reported
update resolution set event_id = $2 where command_id = $1
