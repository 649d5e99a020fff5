"""Rules of places: New York City's."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.documents.accounts import Residence
from services.specialists.compliance.rules.rule import PERSON, Rule, Situation, Verdict, blocked, passed, unknown


def new_york_city(situation: Situation) -> Verdict:
    """6 RCNY 5-77 (NYC DCWP), from 2026-09-01: consent to email; at most three contacts in seven days per account.

    A ZIP code that reaches across the city's border counts as inside. The email under review would be one more.
    """
    residences = situation.facts.consumer.residences
    if not residences:
        return unknown("consumer.residences")
    inside = [_inside(situation, residence) for residence in residences]
    if not any(inside):
        if None in inside:
            return unknown("consumer.residences.postal_code, for a residence in New York State")
        return passed("no residence in New York City")
    return _in_the_city(situation)


def _inside(situation: Situation, residence: Residence) -> bool | None:
    city = situation.pack.new_york_city
    if residence.state != "NY":
        return False
    if residence.postal_code is None:
        return None
    return residence.postal_code.startswith(city.prefixes) or residence.postal_code in city.postal_codes


def _in_the_city(situation: Situation) -> Verdict:
    city, contacts = situation.pack.new_york_city, situation.facts.history.contacts
    consented = situation.facts.email.consented
    if consented is False:
        return blocked("a resident of New York City who did not consent to email")
    if missing := [
        name for name, value in (("email.consented", consented), ("history.contacts", contacts)) if value is None
    ]:
        return unknown(*missing)
    since = situation.now - timedelta(days=city.days)
    recent = sum(datetime.fromisoformat(contact.at) > since for contact in contacts or ())
    if recent >= city.max_contacts:
        return blocked(f"{recent} contacts in the last {city.days} days; {city.max_contacts} are allowed")
    return passed(f"consent, and {recent} contacts in the last {city.days} days")


R18 = Rule(
    id="R18",
    name="New York City: consent and frequency",
    citation="6 RCNY 5-77 (NYC DCWP), from 2026-09-01",
    about="person",
    severity="block",
    stages=PERSON,
    reads=("consumer.residences", "email.consented", "history.contacts", "now"),
    check=new_york_city,
)
