-- What stops a sending, as the email sender reads it, and the locks that order a stop and a sending.
--
-- A stop (a case closed or cancelled, a playbook halted, an address opted out, an approval taken back) and the intent to
-- send are written by two services. Each takes the advisory locks of what it is about, in this order: playbook, case,
-- address. The stop takes its one lock exclusively, in a trigger, so that no statement can forget it; the intent takes
-- all three shared and only then reads `sendable`. So either the stop was committed before the email sender read, and nothing
-- is sent, or the intent was committed before the stop, and the email counts as sent before it.

create function gate_key(kind text, key text) returns bigint
  language sql immutable parallel safe
  return hashtextextended(kind || '/' || key, 0);
comment on function gate_key is 'The advisory lock of one thing that can be stopped; kind is playbook, case or address.';

create function lock_stop() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(case_manager.gate_key(
    case new.kind when 'halted_playbook' then 'playbook' when 'cancelled_case' then 'case' else 'address' end, new.key));
  return new;
end $$;
create trigger control_lock before insert on control for each row execute function lock_stop();

create function lock_case() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(case_manager.gate_key('case', new.case_id::text));
  return new;
end $$;
create trigger closed_lock before insert on closed for each row execute function lock_case();

create function lock_sending(sending_case uuid, sending_to text) returns void
  language plpgsql security definer set search_path = case_manager, pg_temp as $$
declare
  its_playbook text;
begin
  select playbook into its_playbook from submission where case_id = sending_case;
  perform pg_advisory_xact_lock_shared(gate_key('playbook', coalesce(its_playbook, '')));
  perform pg_advisory_xact_lock_shared(gate_key('case', sending_case::text));
  perform pg_advisory_xact_lock_shared(gate_key('address', sending_to));
end $$;
revoke execute on function lock_sending from public;
comment on function lock_sending is 'Shared locks until the end of the transaction: call it, then read sendable, then write the intent.';

-- A grant that is taken back is a stop, too. Asking, granting and denying are none.
create trigger approval_lock before update on approval
  for each row when (old.state = 'granted' and new.state <> old.state) execute function lock_case();

create view sendable as
select
  s.case_id,
  s.tenant,
  s.playbook,
  o.address_key,
  c.outcome as ending_outcome,
  exists (select from control where kind = 'cancelled_case' and key = s.case_id::text) as cancelled,
  exists (select from control where kind = 'halted_playbook' and key = s.playbook) as halted,
  exists (select from control where kind = 'opted_out' and key = o.address_key) as opted_out
from submission s
cross join lateral (select s.opened::json #>> '{payload,address_key}' as address_key) o
left join closed c using (case_id);
comment on view sendable is 'One row a case: what the email sender checks in the transaction that writes its intent.';
comment on column sendable.ending_outcome is 'The outcome of a closed case; null while it is open.';

create view sendable_approval as
select approval_id, case_id, content_sha256, pack, state, valid_until, approver, why, signed_at, signature from approval;
comment on view sendable_approval is 'Approvals as the email sender reads them, with what it needs to check the signature again; whether one was used stands in the email sender''s ledger.';
