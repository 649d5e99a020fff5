-- No case has an effect twice: an email sent, a draft, an answer, or an approval used.
select case_id, format('%s %s with the same content', count(*), transition) as found
from audit.transition
where transition in ('EmailSent', 'CaseClosed')
group by case_id, transition having count(*) > 1
