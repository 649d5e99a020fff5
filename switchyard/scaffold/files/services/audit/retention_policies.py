"""How long the cases of each playbook are kept, and why. A playbook without a policy is kept for ever."""

from __future__ import annotations

from services.orchestrator.graph import CURRENT
from switchyard.audit.records.roles import PlaybookRetention

RETENTION_POLICIES = (
    *(PlaybookRetention(playbook, "1 year", "No statutory duty is known: ask counsel.") for playbook in CURRENT),
    PlaybookRetention("none", "1 year", "Rejected submissions and halted playbooks."),
)
