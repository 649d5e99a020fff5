-- The application's views of the audit log, for compliance reviewers. `switchyard migrate` applies this file after the
-- engine's migrations each time, so it is safe to repeat. A view narrows by case_id or opened_on before it parses a body,
-- and has nulls for the contents of a body that has been retired.

drop view if exists audit.gate_decisions;
create view audit.gate_decisions as
select
  t.opened_on, t.case_id, t.tenant, t.seq, t.event_id, audit.clamped(t.event_ts) as event_ts, g.gate,
  case
    when t.transition <> 'SendingResolved' then g.decision
    when p.payload ->> 'sent' = 'true' then 'resolved_sent'
    when p.payload ->> 'sent' = 'false' then 'resolved_not_sent'
  end as decision,
  t.node_from as decided_by, coalesce(p.payload ->> 'approver', p.payload ->> 'operator', t.node_from) as decider,
  p.payload ->> 'pack' as pack,
  case when jsonb_typeof(p.payload -> 'rules') = 'array' then array(select jsonb_array_elements_text(p.payload -> 'rules')) end
    as rules,
  t.rubric_score,
  p.payload ->> 'content_sha256' as content_sha256,
  p.payload ->> 'code' as code,
  p.payload ->> 'message' as message,
  p.payload -> 'results' as results
from audit.transition t
join (values
  ('ContactAllowed', 'contact', 'passed'), ('ContactBlocked', 'contact', 'blocked'),
  ('EmailPassed', 'content', 'passed'), ('RevisionNeeded', 'content', 'revise'), ('EmailBlocked', 'content', 'blocked'),
  ('ApprovalGranted', 'approval', 'granted'), ('ApprovalDenied', 'approval', 'denied'),
  ('ApprovalReturned', 'approval', 'returned'),
  ('ApprovalExpired', 'approval', 'expired'),
  ('SendingAllowed', 'moment', 'passed'), ('SendingDeferred', 'moment', 'deferred'), ('ReviewOutdated', 'moment', 'outdated'),
  ('SendingHalted', 'send', 'halted'), ('SendingTooLate', 'send', 'too_late'), ('SendingStopped', 'send', 'stopped'),
  ('EmailSent', 'send', 'sent'), ('EmailUndeliverable', 'send', 'undeliverable'), ('SendingUnknown', 'send', 'unknown'),
  -- By its payload: resolved_sent or resolved_not_sent.
  ('SendingResolved', 'send', null)
) as g (transition, gate, decision) using (transition)
cross join lateral (
  select audit.json_of(t.body) #> '{detail,payload}' as payload offset 0
) p;
comment on view audit.gate_decisions is
  'Every decision on the way to an outbound email: contact, content, approval, moment and sending. Narrow it by case_id or opened_on.';
comment on column audit.gate_decisions.opened_on is 'UTC day on which the case was opened.';
comment on column audit.gate_decisions.case_id is 'The case.';
comment on column audit.gate_decisions.tenant is 'Whose case it is.';
comment on column audit.gate_decisions.seq is 'The order within the case.';
comment on column audit.gate_decisions.event_id is 'The event that carries the decision.';
comment on column audit.gate_decisions.event_ts is 'When it was decided, by the producer''s clock.';
comment on column audit.gate_decisions.gate is 'contact, content, approval, moment or send.';
comment on column audit.gate_decisions.decision is 'passed, blocked, revise, granted, denied, expired, deferred, outdated, halted, too_late, stopped, sent, undeliverable, unknown, resolved_sent or resolved_not_sent; null for a resolution whose body is retired.';
comment on column audit.gate_decisions.decided_by is 'The service that decided, or that published a person''s decision.';
comment on column audit.gate_decisions.decider is 'The person who decided; the service if no person did.';
comment on column audit.gate_decisions.pack is 'Version of the rule pack; null without a rule pack, or once the body is retired.';
comment on column audit.gate_decisions.rules is 'The rules that blocked or deferred it.';
comment on column audit.gate_decisions.rubric_score is 'Judge''s score in basis points, 0 to 10000; null if nothing was judged.';
comment on column audit.gate_decisions.content_sha256 is 'SHA-256 of the content that was decided on; null for a decision about the contact.';
comment on column audit.gate_decisions.code is 'The machine-readable reason.';
comment on column audit.gate_decisions.message is 'The reason for people.';
comment on column audit.gate_decisions.results is 'Each rule''s verdict with the hash of what it read.';

grant select on audit.gate_decisions to audit, audit_reader;

drop view if exists audit.forgotten_input;
create view audit.forgotten_input as
select r.opened_on, r.case_id, u.item ->> 'id' as input_id, u.item ->> 'kind' as kind, f.payload ->> 'reason' as reason,
  f.event_ts as forgotten_at
from audit.transition_detail r
cross join lateral jsonb_array_elements(r.payload -> 'used') u (item)
join audit.transition_detail f on f.transition = 'MemoryForgotten'
  and f.payload -> 'items' @> jsonb_build_array(jsonb_build_object('id', u.item ->> 'id'))
where r.transition = 'MemoryRecalled';
comment on view audit.forgotten_input is 'What a case was given of memory and is forgotten since: one row per input.';
comment on column audit.forgotten_input.input_id is 'The memory''s id; of a turn, the case that it was.';
comment on column audit.forgotten_input.kind is 'turn, slot or note.';
comment on column audit.forgotten_input.reason is 'Why it was forgotten.';
comment on column audit.forgotten_input.forgotten_at is 'When the receipt was made.';
grant select on audit.forgotten_input to audit_reader;
