"""The rules, by id: one file per family, each check a pure function, in an explicit list."""

from __future__ import annotations

from services.specialists.compliance.rules.address import R07, R08, R09
from services.specialists.compliance.rules.conduct import R15
from services.specialists.compliance.rules.contact_hours import R01, R02
from services.specialists.compliance.rules.debt import R13
from services.specialists.compliance.rules.figures import R14
from services.specialists.compliance.rules.headers import R16, R17
from services.specialists.compliance.rules.local_law import R18
from services.specialists.compliance.rules.notices import R06, R10, R11, R12
from services.specialists.compliance.rules.person import R03, R04, R05, R19
from services.specialists.compliance.rules.record import R20
from services.specialists.compliance.rules.rule import ComplianceRule

_ALL = (R01, R02, R03, R04, R05, R06, R07, R08, R09, R10, R11, R12, R13, R14, R15, R16, R17, R18, R19, R20)
RULES: dict[str, ComplianceRule] = {rule.id: rule for rule in _ALL}
