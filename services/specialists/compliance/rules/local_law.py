"""Rules of single places: New York City."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.documents.accounts import Residence
from services.specialists.compliance.rules.rule import (
    RuleInput,
    RuleVerdict,
    block_for_missing_facts,
    block_with,
    pass_with,
)


def check_new_york_city(situation: RuleInput) -> RuleVerdict:
    """6 RCNY 5-77 (NYC DCWP), from 2026-09-01: consent to email; at most three contacts in seven days per account.

    A ZIP code across the city's border counts as inside. The email under review would be one more contact.
    """
    residences = situation.facts.consumer.residences
    if not residences:
        return block_for_missing_facts("consumer.residences")
    inside = [_is_in_city(situation, residence) for residence in residences]
    if not any(inside):
        if None in inside:
            return block_for_missing_facts("consumer.residences.postal_code, for a residence in New York State")
        return pass_with("no residence in New York City")
    return _check_city_rules(situation)


def _is_in_city(situation: RuleInput, residence: Residence) -> bool | None:
    city = situation.pack.new_york_city
    if residence.state != "NY":
        return False
    if residence.postal_code is None:
        return None
    return residence.postal_code.startswith(city.prefixes) or residence.postal_code in city.postal_codes


def _check_city_rules(situation: RuleInput) -> RuleVerdict:
    city, contacts = situation.pack.new_york_city, situation.facts.history.contacts
    consented = situation.facts.email.consented
    if consented is False:
        return block_with("a resident of New York City who did not consent to email")
    if missing := [
        name for name, value in (("email.consented", consented), ("history.contacts", contacts)) if value is None
    ]:
        return block_for_missing_facts(*missing)
    since = situation.now - timedelta(days=city.days)
    recent = sum(datetime.fromisoformat(contact.at) > since for contact in contacts or ())
    if recent >= city.max_contacts:
        return block_with(f"{recent} contacts in the last {city.days} days; {city.max_contacts} are allowed")
    return pass_with(f"consent, and {recent} contacts in the last {city.days} days")
