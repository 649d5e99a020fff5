-- No approval is used by two emails, and none has two different decisions.
select min(case_id::text) as case_id, format('approval %s is used %s times', approval_id, count(*)) as found
from email_sender.sending where approval_id is not null group by approval_id having count(*) > 1
union all
select min(a.case_id::text), format('approval %s was %s', a.approval_id, array_agg(distinct d.result))
from case_manager.approval_decision d join case_manager.approval a using (approval_id)
where d.result in ('granted', 'denied', 'returned')
group by a.approval_id having count(distinct d.result) > 1
