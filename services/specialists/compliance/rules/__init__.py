"""The rule table: one entry per rule, in order of id. The checks are pure functions in one module per family."""

from __future__ import annotations

from contracts.documents.reviews import ReviewStage
from services.specialists.compliance.rules import conduct, contact, contact_hours, figures, headers, notices, record
from services.specialists.compliance.rules.rule import ComplianceRule as Rule

_EVERY_STAGE: tuple[ReviewStage, ...] = ("contact", "email", "sending")
"""Before a word is written, with the draft, and again at the moment of sending."""

_DRAFT: tuple[ReviewStage, ...] = ("email",)
_MOMENT: tuple[ReviewStage, ...] = ("contact", "sending")
"""At first contact only whether any moment can be permitted at all."""

_PLACE = ("consumer.residences", "consumer.phones", "consumer.time_zone")
"""Where the consumer may be, and so which day it is there."""

_CLOCK = (*_PLACE, "consumer.inconvenient_times", "now")
_TEXTS = ("message", "purpose", "history", "ledger", "agency", "now")
_WORDS = (*_TEXTS, "consumer.first_name", "consumer.last_name")

# fmt: off
_TABLE = (
    Rule("R01", "Hours of the day", "12 CFR 1006.6(b)(1)(i)", _MOMENT, contact_hours.check_usual_hours,
         _CLOCK, "reschedule"),
    Rule("R02", "Inconvenient times", "12 CFR 1006.6(b)(1)", _MOMENT, contact_hours.check_inconvenient_times,
         _CLOCK, "reschedule"),
    Rule("R03", "Represented by an attorney", "12 CFR 1006.6(b)(2)", _EVERY_STAGE, contact.check_representation,
         ("consumer.attorney",)),
    Rule("R04", "Written cease or refusal", "12 CFR 1006.6(c)", _EVERY_STAGE, contact.check_cease_request,
         ("consumer.cease_requested",)),
    Rule("R05", "Address and medium not opted out", "12 CFR 1006.14(h), 1006.6(e)", _EVERY_STAGE,
         contact.check_suppression, ("email.opted_out", "consumer.inconvenient_media")),
    Rule("R06", "Opt-out in every email", "12 CFR 1006.6(e)", _DRAFT, notices.check_opt_out, _TEXTS),
    Rule("R07", "Origin of the address", "12 CFR 1006.6(d)(4)", _EVERY_STAGE, contact.check_address_origin,
         ("email.obtained", "email.consumer_used_on", "email.consented", "email.creditor_notice_on",
          "email.notice_opt_out_until", "now", *_PLACE)),
    Rule("R08", "No known third-party disclosure", "12 CFR 1006.6(d)(3)", _EVERY_STAGE,
         contact.check_third_party_disclosure, ("email.disclosed_to_third_party",)),
    Rule("R09", "Not a work address", "12 CFR 1006.22(f)(3)", _EVERY_STAGE, contact.check_work_address,
         ("email.work_address", "email.address"), "warn"),
    Rule("R10", "Disclosure of the collector", "12 CFR 1006.18(e)", _DRAFT, notices.check_disclosure, _TEXTS),
    Rule("R11", "Validation notice", "12 CFR 1006.34(a)(1)", _EVERY_STAGE, notices.check_validation_notice,
         (*_TEXTS, *_PLACE), "warn"),
    Rule("R12", "Disputes and overshadowing", "12 CFR 1006.38(b), (d)", _EVERY_STAGE, notices.check_dispute,
         (*_WORDS, *_PLACE)),
    Rule("R13", "Time-barred debt", "12 CFR 1006.26(b)", _DRAFT, conduct.check_time_barred, _WORDS),
    Rule("R14", "Figures and names equal the ledger", "12 CFR 1006.18(b)-(c), 1006.22(b)", ("contact", "email"),
         figures.check_figures, _WORDS),
    Rule("R15", "No abuse, threat or false authority", "12 CFR 1006.14, 1006.18", _DRAFT, conduct.check_conduct,
         _WORDS),
    Rule("R16", "Only the consumer; discreet subject", "12 CFR 1006.6(d)(1)", _DRAFT, headers.check_recipients,
         ("message", "agency.name", "email.address", "consumer.first_name", "consumer.last_name",
          "ledger.original_creditor", "ledger.current_creditor")),
    Rule("R17", "True headers, honest subject, postal address", "15 USC 7704 (CAN-SPAM)", _DRAFT, headers.check_headers,
         (*_TEXTS, "email.address"), "warn"),
    Rule("R18", "New York City: consent and frequency", "6 RCNY 5-77 (NYC DCWP), from 2026-09-01", _EVERY_STAGE,
         contact.check_new_york_city, ("consumer.residences", "email.consented", "history.contacts", "now")),
    Rule("R19", "Bankrupt, deceased, minor", "11 USC 362, 524; 12 CFR 1006.6(a)", _EVERY_STAGE,
         contact.check_protected_person, ("consumer.bankrupt", "consumer.deceased", "consumer.minor")),
    Rule("R20", "Kept on record", "12 CFR 1006.100", _DRAFT, record.check_retention,
         ("history.last_activity_on", "history.contacted_before", "now")),
)
# fmt: on
RULES: dict[str, Rule] = {rule.id: rule for rule in _TABLE}
