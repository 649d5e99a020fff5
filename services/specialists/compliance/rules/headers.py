"""Rules about the envelope that a reader sees: recipients, subject, sender, links."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import phonenumbers

from contracts.documents.disclosures import RIGHTS_URL
from services.specialists.compliance.email_text.characters import folded, plain
from services.specialists.compliance.email_text.lexicon import found_in, terms_in, without
from services.specialists.compliance.email_text.message import Message
from services.specialists.compliance.rules.notices import opt_out_url
from services.specialists.compliance.rules.rule import DRAFT, Problem, Rule, Situation, Verdict, judged
from services.specialists.compliance.rules.wording import draft, missing


def recipients(situation: Situation) -> Verdict:
    """12 CFR 1006.6(d)(1): nobody but the consumer gets it, and the subject shows no bystander that there is a debt."""
    message, facts = draft(situation), situation.facts
    problems = []
    fields = [name for name, _ in message.headers]
    if fields.count("to") != 1 or [each.address for each in message.to] != [facts.email.address.lower()]:
        problems.append(Problem("To does not name exactly the consumer's address"))
    full = plain(f"{facts.consumer.first_name} {facts.consumer.last_name}").casefold()
    if any(each.name and plain(each.name).casefold() != full for each in message.to):
        problems.append(Problem("To gives the consumer another name"))
    if message.copies:
        problems.append(Problem(f"further recipients: {', '.join(message.copies)}"))
    subject = message.subject
    ledger = facts.ledger
    # The sender's name stands beside the subject in every mailbox: saying it again shows nothing more.
    problems += [
        Problem(f"the subject says {term!r}", f"leave {term!r} out of the subject: it may show that there is a debt")
        for term in terms_in(without(subject, [facts.agency.name]), situation.pack.lexicon["subject"])
    ]
    lowered = folded(subject)
    problems += [
        Problem("the subject names a creditor", "leave the creditor out of the subject")
        for name in {ledger.original_creditor, ledger.current_creditor}
        if folded(name) in lowered
    ]
    if any(each.isdigit() for each in subject) or "$" in subject:
        problems.append(Problem("the subject has figures", "leave amounts, dates and numbers out of the subject"))
    return judged(problems, "only the consumer, and a subject that shows no debt")


def true_headers(situation: Situation) -> Verdict:
    """15 USC 7704(a): true headers, an honest subject, a postal address; links lead to the agency and nowhere else.

    A missing postal address is a warning, as the table has it; a false header blocks.
    """
    message, facts = draft(situation), situation.facts
    problems = [*_sender(message, situation), *_fields(message, situation)]
    problems += [
        Problem(f"the subject says {term!r}", f"leave {term!r} out of the subject: it misleads")
        for term in found_in(message.subject, situation.pack.lexicon["false_subject"])
    ]
    if not message.subject.strip():
        problems.append(Problem("there is no subject", "give it an honest subject"))
    problems += [
        Problem(f"a link to {link[:80]}", f"link to {facts.agency.website}, the opt-out and {RIGHTS_URL} only")
        for link in message.links
        if not _expected(link, situation)
    ]
    if problems:
        return judged(problems, "")
    if absent := missing(situation, "R17"):
        return Verdict("warn", tuple(each.what for each in absent))
    return judged([], "the headers are true, the subject is honest, the postal address is there")


def _sender(message: Message, situation: Situation) -> list[Problem]:
    agency = situation.facts.agency
    problems = []
    if [each.address for each in message.sender] != [agency.from_address.lower()]:
        problems.append(Problem("From is not the agency's address"))
    if any(each.name and plain(each.name).casefold() != plain(agency.name).casefold() for each in message.sender):
        problems.append(Problem("From gives the agency another name"))
    domain = agency.from_address.lower().rsplit("@", 1)[1]
    if any(each.address.rsplit("@", 1)[-1] != domain for each in message.reply_to):
        problems.append(Problem("Reply-To leads away from the agency"))
    return problems


def _fields(message: Message, situation: Situation) -> list[Problem]:
    names = [name for name, _ in message.headers]
    strange = sorted(set(names) - situation.pack.email.headers)
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [Problem(f"a header that nobody expects: {name[:40]}") for name in strange]
    return problems + [Problem(f"the header {name} more than once") for name in twice]


def _expected(link: str, situation: Situation) -> bool:
    agency = situation.facts.agency
    if link in {opt_out_url(situation), RIGHTS_URL}:
        return True
    parts = urlsplit(link)
    if parts.scheme == "mailto":
        domain = agency.from_address.lower().rsplit("@", 1)[1]
        own = parts.path.lower() == situation.facts.email.address.lower()
        return (own or parts.path.lower().endswith(f"@{domain}")) and not parts.query
    if parts.scheme == "tel":
        return parts.path == phonenumbers.format_number(phonenumbers.parse(agency.phone), 0)
    ours = (urlsplit(agency.website).hostname or "").removeprefix("www.")
    if parts.scheme != "https" or parts.netloc != parts.hostname or parts.hostname.removeprefix("www.") != ours:
        return False
    # A figure in a link would be one that nobody compares with the ledger.
    return link == agency.website or not re.search(r"[\d$%]", f"{parts.path}{parts.query}{parts.fragment}")


R16 = Rule(
    id="R16",
    name="Only the consumer; discreet subject",
    citation="12 CFR 1006.6(d)(1)",
    about="draft",
    severity="block",
    stages=DRAFT,
    reads=(
        "message",
        "agency.name", "email.address", "consumer.first_name", "consumer.last_name", "ledger.original_creditor",
        "ledger.current_creditor",
    ),
    check=recipients,
)  # fmt: skip
R17 = Rule(
    id="R17",
    name="True headers, honest subject, postal address",
    citation="15 USC 7704 (CAN-SPAM)",
    about="draft",
    severity="warn",
    stages=DRAFT,
    reads=("message", "purpose", "history", "ledger", "agency", "email.address", "now"),
    check=true_headers,
)
