-- No case has two emails.
select case_id, format('%s emails', count(*)) as found from email group by case_id having count(*) > 1
