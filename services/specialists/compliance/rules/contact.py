"""Rules about the person and the address, from facts alone: who may be contacted, where, and how often."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from contracts.documents.accounts import Residence
from services.specialists.compliance.rules.rule import RuleInput, RuleVerdict, blocks, blocks_if, passes, unknown


def check_representation(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(b)(2): a consumer known to be represented by an attorney for the debt is not contacted."""
    broken = "the consumer is represented: only the attorney may be contacted"
    return blocks_if(situation, "consumer.attorney", broken=broken, fine="no attorney is known")


def check_cease_request(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(c)(1): no contact after a written refusal to pay or a request to cease contact."""
    broken = "the consumer asked in writing that contact cease, or refused to pay"
    return blocks_if(situation, "consumer.cease_requested", broken=broken, fine="no request to cease is on file")


def check_suppression(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.14(h) and 1006.6(e): neither the address nor the medium was refused.

    The facts are as of the submission. Later opt-outs are on the case manager's suppression list, which the email
    sender reads in the transaction that writes its intent.
    """
    if situation.facts.email.opted_out:
        return blocks("the consumer opted this address out")
    if "email" in (situation.facts.consumer.inconvenient_media or ()):
        return blocks("the consumer asked not to be contacted by email")
    if missing := situation.missing_facts("email.opted_out", "consumer.inconvenient_media"):
        return unknown(*missing)
    return passes("neither the address nor email was refused")


def check_protected_person(situation: RuleInput) -> RuleVerdict:
    """11 USC 362 and 524 (stay and discharge); 12 CFR 1006.6(a): deceased persons and minors are not contacted."""
    flags = ("bankrupt", "deceased", "minor")
    if raised := [name for name in flags if getattr(situation.facts.consumer, name)]:
        return blocks(f"the case is flagged: {', '.join(raised)}")
    if missing := situation.missing_facts(*(f"consumer.{name}" for name in flags)):
        return unknown(*missing)
    return passes("no flag is raised")


def check_address_origin(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(d)(4): the address came from the consumer, by a creditor's notice, or from a prior collector."""
    match situation.facts.email.obtained:
        case None:
            return unknown("email.obtained")
        case "consumer":
            return _by_consumer(situation)
        case "creditor_notice":
            return _by_notice(situation)
        case "prior_collector":
            return _by_prior_collector(situation)
        case _:
            return blocks("the address was obtained in a way that the rule does not permit")


def _by_consumer(situation: RuleInput) -> RuleVerdict:
    """(i): the consumer used it to communicate with the collector, or consented directly."""
    email = situation.facts.email
    if email.consumer_used_on is None and email.consented is None:
        return unknown("email.consumer_used_on", "email.consented")
    if email.consumer_used_on is None and not email.consented:
        return blocks("the consumer neither used the address nor consented to it")
    return passes("the consumer used the address or consented to it")


def _by_notice(situation: RuleInput) -> RuleVerdict:
    """(ii): the creditor's notice gave the consumer at least 35 days to opt out, and the period is over."""
    email = situation.facts.email
    if email.creditor_notice_on is None or email.notice_opt_out_until is None:
        return unknown("email.creditor_notice_on", "email.notice_opt_out_until")
    sent, until = date.fromisoformat(email.creditor_notice_on), date.fromisoformat(email.notice_opt_out_until)
    if sent > situation.days[1]:
        return blocks("the creditor's notice is dated in the future")
    if (until - sent).days < situation.pack.address.min_notice_days:
        return blocks(f"the creditor's notice gave {(until - sent).days} days to opt out")
    if until >= situation.days[0]:
        return blocks("the creditor's notice still lets the consumer opt out")
    return passes("the creditor's notice was sent and its opt-out period is over")


def _by_prior_collector(situation: RuleInput) -> RuleVerdict:
    """(iii): the consumer used the address with the prior collector and did not opt out."""
    used = situation.facts.email.consumer_used_on
    if used is None:
        return unknown("email.consumer_used_on")
    days = (situation.today - date.fromisoformat(used)).days
    if days < 0:
        return blocks("the address was used at a date in the future")
    if days > situation.pack.address.prior_collector_days:
        return blocks(f"the address was last used {days} days ago with a prior collector")
    return passes("the consumer used the address with the prior collector")


def check_third_party_disclosure(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(d)(3) and (5): an address known to have disclosed the debt to a third party is not used."""
    broken = "the address is known to have disclosed the debt to a third party"
    return blocks_if(situation, "email.disclosed_to_third_party", broken=broken, fine="no such disclosure is known")


def check_work_address(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.22(f)(3): no address that the employer provides. An unknown domain warns: an approver decides."""
    email = situation.facts.email
    if email.work_address:
        return blocks("the address is known to be provided by the employer")
    domain = email.address.rsplit("@", 1)[1].lower()
    if domain in situation.pack.address.free_mail:
        return passes("the domain is open to the public")
    if email.work_address is False:
        return passes("the address is known not to be the employer's")
    return RuleVerdict("warn", (f"whether {domain} is an employer's domain is unknown",))


def check_new_york_city(situation: RuleInput) -> RuleVerdict:
    """6 RCNY 5-77 (NYC DCWP), from 2026-09-01: consent to email; at most three contacts in seven days per account.

    A ZIP code across the city's border counts as inside. The email under review would be one more contact.
    """
    city, email, contacts = situation.pack.new_york_city, situation.facts.email, situation.facts.history.contacts
    residences = situation.facts.consumer.residences
    if not residences:
        return unknown("consumer.residences")
    inside = [_is_in_city(situation, residence) for residence in residences]
    if not any(inside):
        open_question = "consumer.residences.postal_code, for a residence in New York State"
        return unknown(open_question) if None in inside else passes("no residence in New York City")
    if email.consented is False:
        return blocks("a resident of New York City who did not consent to email")
    if missing := situation.missing_facts("email.consented", "history.contacts"):
        return unknown(*missing)
    since = situation.now - timedelta(days=city.days)
    recent = sum(datetime.fromisoformat(contact.at) > since for contact in contacts or ())
    if recent >= city.max_contacts:
        return blocks(f"{recent} contacts in the last {city.days} days; {city.max_contacts} are allowed")
    return passes(f"consent, and {recent} contacts in the last {city.days} days")


def _is_in_city(situation: RuleInput, residence: Residence) -> bool | None:
    city = situation.pack.new_york_city
    if residence.state != "NY":
        return False
    if residence.postal_code is None:
        return None
    return residence.postal_code.startswith(city.prefixes) or residence.postal_code in city.postal_codes
