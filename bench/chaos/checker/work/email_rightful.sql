-- An email belongs to a submitted case that ended as sent, or with an unknown delivery.
select m.case_id, format('email %s of a case that ended as %s', m.message_id, coalesce(e.outcome, 'nothing')) as found
from email m left join submitted s using (case_id) left join case_manager.case_ending e using (case_id)
where s.case_id is null or e.outcome is null or e.outcome not in ('sent', 'unknown')
