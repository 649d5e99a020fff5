-- What the judge may read of others: the events of the case that it has in hand, as their producers stored them.

create function evidence(the_case uuid, the_ending uuid) returns table (event text)
language plpgsql stable security definer rows 4 set search_path = judge, pg_temp as $$
begin
  if not exists (
    select from inbox i join case_manager.outbox o using (event_id, digest)
    where i.event_id = the_ending and i.case_id = the_case and o.case_id = the_case and o.type = 'CaseClosed'
      and i.outputs is null and i.lease_until > clock_timestamp()
  ) or not exists (
    select from case_manager.submission s where s.case_id = the_case and case_manager.in_scope(s.facts)
  ) then
    return;
  end if;
  return query
    select p.event from produced p
    where p.case_id = the_case
      and (p.type = 'FindingsReady' or (p.producer, p.type) in (('case_manager', 'CaseOpened'), ('drafter', 'AnswerDrafted')))
    order by (p.event::json ->> 'seq')::integer;
end $$;
revoke execute on function evidence(uuid, uuid) from public;
comment on function evidence is 'Opening, findings and answers of a case, for a judge that has the case manager''s own ending of it in hand; else no row.';
