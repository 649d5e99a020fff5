-- What the log knows and a restored work database lacks, as statements for it. $1 is the moment of the restored data.

-- audit: prints, for the work database, the outcomes that the inboxes have forgotten
select format(
  'insert into %1$I.outbox (event, published_at) values (%2$L, now()) on conflict do nothing; '
  'insert into %1$I.inbox as i (event_id, digest, case_id, type, token, claims, lease_until, outputs, completed_at) '
  'values (%3$L, %4$L, %5$L, %6$L, 1, 1, now(), array[%7$L]::uuid[], now()) on conflict (event_id) do update '
  'set outputs = excluded.outputs, completed_at = now(), token = i.token + 1 where i.outputs is null;',
  c.node_to, a.body::json -> 'detail', c.event_id, c.transcript_hash, c.case_id, c.transition, a.event_id) as statement
from transition a
join transition c on c.opened_on = a.opened_on and c.case_id = a.case_id and c.transcript_hash = a.parents[1]
where a.recorded_at > $1::timestamptz - interval '5 minutes'
  and a.node_from = c.node_to and c.node_from = 'router' and c.node_to <> 'case_manager' and a.body is json object
order by a.recorded_at;

-- audit: prints the email sender's ledger: sent, refused, or unknown if the log does not show that nothing was sent
select format(
  'select set_config(''switchyard.tenant'', %L, true), set_config(''switchyard.user'', %L, true), '
  'set_config(''switchyard.session'', %L, true); '
  'insert into email_sender.sending as s (case_id, content_sha256, command_id, pack, approval_id, state, provider_message_id, '
  'intended_at, answered_at) values (%L, %L, %L, %L, %L, %L, %L, %L, %L) on conflict (case_id, content_sha256) do update '
  'set command_id = excluded.command_id, state = excluded.state, provider_message_id = excluded.provider_message_id, '
  'answered_at = excluded.answered_at, attempt = s.attempt + 1 where s.state in (''intended'', ''released'', ''unknown'');',
  tenant, user_id, session_id,
  case_id, content, event_id, pack, approval_id, state, message_id, event_ts, case when state <> 'unknown' then event_ts end) as statement
from (
  select distinct on (c.case_id, d.payload ->> 'content_sha256')
    c.tenant, coalesce(c.subject::text, c.principal_sub) as user_id, c.session_id,
    c.case_id, d.payload ->> 'content_sha256' as content, c.event_id, d.payload ->> 'pack' as pack,
    d.payload ->> 'approval_id' as approval_id, c.event_ts, o.state,
    coalesce(o.resolution ->> 'provider_message_id', o.answer ->> 'provider_message_id') as message_id
  from transition c
  join transition_detail d on d.opened_on = c.opened_on and d.case_id = c.case_id and d.event_id = c.event_id
  left join transition a
    on a.opened_on = c.opened_on and a.case_id = c.case_id and a.parents[1] = c.transcript_hash and a.node_from = 'email_sender'
  left join transition_detail p on p.opened_on = a.opened_on and p.case_id = a.case_id and p.event_id = a.event_id
  left join transition_detail s
    on s.opened_on = a.opened_on and s.case_id = a.case_id and s.transition = 'SendingResolved' and s.parents[1] = a.transcript_hash
  cross join lateral (select p.payload as answer, s.payload as resolution, case
    when a.transition = 'EmailSent' or (s.payload ->> 'sent')::boolean then 'sent'
    when a.transition = 'EmailUndeliverable' or not (s.payload ->> 'sent')::boolean then 'refused'
    else 'unknown' end as state) o
  where c.transition = 'SendEmail' and c.recorded_at > $1::timestamptz - interval '5 minutes'
    and a.transition is distinct from 'SendingHalted' and a.transition is distinct from 'SendingTooLate'
    and a.transition is distinct from 'SendingStopped'
  order by c.case_id, d.payload ->> 'content_sha256', array_position(array['sent', 'refused', 'unknown'], o.state), c.seq desc
) known;

-- audit: prints the endings that the case manager has forgotten: a late event must find its case closed
select format(
  'insert into case_manager.outbox (event, published_at) values (%L, now()) on conflict do nothing; '
  'insert into case_manager.case_ending (case_id, attempt, outcome, event_id) values (%L, %L, %L, %L) on conflict do nothing;',
  t.body::json -> 'detail', t.case_id, coalesce(t.body::json #>> '{detail,attempt}', ''), t.outcome, t.event_id) as statement
from transition t
where t.transition = 'CaseClosed' and t.recorded_at > $1::timestamptz - interval '5 minutes' and t.body is json object;

-- audit: prints the suppressed addresses
select format(
  'insert into case_manager.control (kind, key, by, why) values (''suppressed_address'', %L, %L, %L) on conflict do nothing;',
  d.payload ->> 'address_key', d.payload ->> 'reported_by', d.payload ->> 'reason') as statement
from transition t join transition_detail d using (opened_on, case_id, event_id)
where t.transition = 'ContactSuppressed' and t.recorded_at > $1::timestamptz - interval '5 minutes';
