-- An email that a person had to decide on was granted, with this content, and not denied.
select m.case_id, format('email %s: wanted %s, decided %s', m.message_id, s.wants, coalesce(a.state, 'nothing')) as found
from email m join submitted s using (case_id)
left join case_manager.approval a on a.case_id = m.case_id and a.content_sha256 = m.sha256
where (s.wants is not null or exists (select from case_manager.approval any_other where any_other.case_id = m.case_id))
  and (s.wants is distinct from 'grant' or a.state is distinct from 'granted'
    or not exists (select from case_manager.approval_grant g where g.approval_id = a.approval_id))
