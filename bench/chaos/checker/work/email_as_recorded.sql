-- A case that ended as sent has its email in the outbox, with the content in the ledger.
select e.case_id, format('%s entries in the ledger, %s such emails in the outbox', count(distinct s.content_sha256), count(distinct m.message_id)) as found
from case_manager.case_ending e
left join email_sender.sending s on s.case_id = e.case_id and s.state = 'sent'
left join email m on m.case_id = s.case_id and m.sha256 = s.content_sha256 and m.message_id = s.provider_message_id
where e.outcome = 'sent'
group by e.case_id having count(distinct s.content_sha256) <> 1 or count(distinct m.message_id) <> 1
