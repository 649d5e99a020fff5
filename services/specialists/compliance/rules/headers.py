"""Rules about headers and links: recipients, subject, sender."""

from __future__ import annotations

import re

import phonenumbers

from services.specialists.compliance.email_text.characters import fold_text, normalize_text
from services.specialists.compliance.email_text.drafted_text import (
    agency_names,
    agency_phone,
    split_link,
    without_consumer,
)
from services.specialists.compliance.email_text.lexicon import find_terms, remove_phrases
from services.specialists.compliance.email_text.message import ParsedEmail
from services.specialists.compliance.rules.notices import unsubscribe_url
from services.specialists.compliance.rules.rule import DraftProblem, RuleInput, RuleVerdict, blocks_for, passes


def check_recipients(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(d)(1): only the consumer receives the email, and the subject does not disclose a debt."""
    message, facts = situation.draft, situation.facts
    problems = []
    if [name for name, _ in message.headers].count("to") != 1 or [each.address for each in message.to] != [
        facts.email.address.lower()
    ]:
        problems.append(DraftProblem("To does not name exactly the consumer's address"))
    full = normalize_text(f"{facts.consumer.first_name} {facts.consumer.last_name}").casefold()
    if any(each.name and normalize_text(each.name).casefold() != full for each in message.to):
        problems.append(DraftProblem("To gives the consumer another name"))
    if message.copies:
        problems.append(DraftProblem(f"further recipients: {', '.join(message.copies)}"))
    subject = message.subject
    ledger = facts.ledger
    # Mail readers show the sender's name next to the subject, so repeating it discloses nothing more.
    quiet = remove_phrases(without_consumer(subject, facts), agency_names(facts))
    for term in find_terms(quiet, situation.pack.lexicon["subject"]):
        fix = f"leave {term!r} out of the subject: it may show that there is a debt"
        problems.append(DraftProblem(f"the subject says {term!r}", fix))
    if any(fold_text(name) in fold_text(subject) for name in (ledger.original_creditor, ledger.current_creditor)):
        problems.append(DraftProblem("the subject names a creditor", "leave the creditor out of the subject"))
    if any(each.isdigit() for each in subject) or "$" in subject:
        problems.append(DraftProblem("the subject has figures", "leave amounts, dates and numbers out of the subject"))
    return blocks_for(problems, fine="only the consumer, and a subject that shows no debt")


def check_headers(situation: RuleInput) -> RuleVerdict:
    """15 USC 7704(a): true headers, an honest subject, a postal address; links lead to the agency and nowhere else.

    A missing postal address warns; a false header blocks.
    """
    message, facts = situation.draft, situation.facts
    problems = [*_sender(message, situation), *_fields(message, situation)]
    problems += [
        DraftProblem(f"the subject says {term!r}", f"leave {term!r} out of the subject: it misleads")
        for term in find_terms(message.subject, situation.pack.lexicon["false_subject"])
    ]
    if not message.subject.strip():
        problems.append(DraftProblem("there is no subject", "give it an honest subject"))
    problems += [
        DraftProblem(
            f"a link to {link[:80]}",
            f"link to {facts.agency.website}, the opt-out and {situation.pack.wording.rights_url} only",
        )
        for link in message.links
        if not _expected(link, situation)
    ]
    if problems:
        return blocks_for(problems, fine="")
    if absent := situation.missing_texts("R17"):
        return RuleVerdict("warn", tuple(each.what for each in absent))
    return passes("the headers are true, the subject is honest, the postal address is there")


def _sender(message: ParsedEmail, situation: RuleInput) -> list[DraftProblem]:
    agency = situation.facts.agency
    problems = []
    if [each.address for each in message.sender] != [agency.from_address.lower()]:
        problems.append(DraftProblem("From is not the agency's address"))
    name = normalize_text(agency.name).casefold()
    if any(each.name and normalize_text(each.name).casefold() != name for each in message.sender):
        problems.append(DraftProblem("From gives the agency another name"))
    domain = agency.from_address.lower().rsplit("@", 1)[1]
    if any(each.address.rsplit("@", 1)[-1] != domain for each in message.reply_to):
        problems.append(DraftProblem("Reply-To leads away from the agency"))
    return problems


def _fields(message: ParsedEmail, situation: RuleInput) -> list[DraftProblem]:
    names = [name for name, _ in message.headers]
    strange = sorted(set(names) - situation.pack.email.headers)
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [DraftProblem(f"an unexpected header: {name[:40]}") for name in strange]
    return problems + [DraftProblem(f"the header {name} more than once") for name in twice]


def _expected(link: str, situation: RuleInput) -> bool:
    agency = situation.facts.agency
    if link in {unsubscribe_url(situation), situation.pack.wording.rights_url}:
        return True
    parts = split_link(f"https://{link}" if link.startswith("www.") else link)
    if parts is None:
        return False
    if parts.scheme == "mailto":
        domain = agency.from_address.lower().rsplit("@", 1)[1]
        own = parts.path.lower() == situation.facts.email.address.lower()
        return (own or parts.path.lower().endswith(f"@{domain}")) and not parts.query
    if parts.scheme == "tel":
        number = agency_phone(situation.facts)
        return number is not None and parts.path == phonenumbers.format_number(number, 0)
    website = split_link(agency.website)
    ours = ((website.hostname if website else None) or "").removeprefix("www.")
    if parts.scheme != "https" or parts.netloc != parts.hostname or parts.hostname.removeprefix("www.") != ours:
        return False
    # Figures in links are not compared with the ledger, so they are not permitted.
    return link == agency.website or not re.search(r"[\d$%]", f"{parts.path}{parts.query}{parts.fragment}")
