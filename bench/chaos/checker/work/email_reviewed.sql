-- An email's content has passed the rules.
select m.case_id, format('email %s has no passed verdict', m.message_id) as found
from email m where not exists (
  select from compliance.verdict v
  where v.case_id = m.case_id and v.content_sha256 = m.sha256 and v.stage = 'email' and v.outcome = 'EmailPassed'
)
