"""How long the cases of each playbook are kept, and why: seeds of the table `audit.retention_policy`."""

from __future__ import annotations

from switchyard.audit.records.roles import PlaybookRetention

RETENTION_POLICIES = (
    PlaybookRetention("assist", "1 year", "No statutory duty; kept for a year to answer for the assistant's answers."),
    PlaybookRetention(
        "none",
        "3 years",
        "Rejected submissions, suppressions and halted playbooks: kept as long as the emails that they stopped.",
    ),
    # Collection activity is an email that was sent, or may have been. A case without one counts from its last event:
    # what was drafted and blocked is evidence of compliance, too.
    PlaybookRetention(
        "outbound_email",
        "3 years",
        "12 CFR 1006.100(a): until three years after the last collection activity on the debt.",
        duty_for="3 years",
        duty_counts_from=("EmailSent", "SendingUnknown", "SendingResolved"),
    ),
)
