"""What this application adds to the audit database: reviewers' views, classes of outcomes, retention policies."""

from __future__ import annotations

from pathlib import Path

from switchyard.audit.records.roles import OutcomeClass, PlaybookRetention

AUDIT_VIEWS = (Path(__file__).with_name("views.sql"),)

OUTCOME_CLASSES: dict[str, OutcomeClass] = {
    **dict.fromkeys(("answered", "sent"), "reached"),
    **dict.fromkeys(("blocked", "denied", "stopped", "no_agent", "cancelled", "rejected"), "stopped"),
    **dict.fromkeys(("failed", "expired", "undeliverable", "unknown"), "failed"),
}
"""`stopped`: the case ended on purpose, by a rule, a person, or because no agent fits. `unknown` stays failed, also if
an operator resolves the sending later."""

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
