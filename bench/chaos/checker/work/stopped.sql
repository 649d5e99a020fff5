-- No email is accepted after a stop: of a playbook until it is resumed, of a case or an address ever after.
select m.case_id, format('email %s was sent after %s of %s was stopped', m.message_id, stop.kind, stop.key) as found
from stop cross join email m
where not exists (select from seen where seen.number = stop.number and not seen.lifted and seen.message_id = m.message_id)
  and case stop.kind
    when 'playbook' then stop.lifted is false
      or exists (select from seen where seen.number = stop.number and seen.lifted and seen.message_id = m.message_id)
    when 'case' then m.case_id::text = stop.key
    when 'address' then stop.key = any(m.recipients)
  end
