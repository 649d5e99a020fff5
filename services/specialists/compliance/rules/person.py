"""Rules about the person: whom nobody may write to."""

from __future__ import annotations

from services.specialists.compliance.rules.rule import (
    PERSON,
    Rule,
    Situation,
    Verdict,
    blocked,
    flag,
    passed,
    unknown,
)


def represented(situation: Situation) -> Verdict:
    """12 CFR 1006.6(b)(2): a consumer known to be represented by an attorney for the debt is not contacted."""
    return flag(
        situation.facts.consumer.attorney,
        "consumer.attorney",
        broken="the consumer is represented: only the attorney may be contacted",
        fine="no attorney is known",
    )


def ceased(situation: Situation) -> Verdict:
    """12 CFR 1006.6(c)(1): after a written refusal to pay or wish that contact cease, there is no further contact."""
    return flag(
        situation.facts.consumer.cease_requested,
        "consumer.cease_requested",
        broken="the consumer asked in writing that contact cease, or refused to pay",
        fine="no request to cease is on file",
    )


def opted_out(situation: Situation) -> Verdict:
    """12 CFR 1006.14(h) and 1006.6(e): neither the address nor the medium was refused.

    The facts are as old as the submission. Opt-outs since then stand in the desk's control table, which the courier
    reads in the transaction that writes its intent.
    """
    consumer, email = situation.facts.consumer, situation.facts.email
    if email.opted_out:
        return blocked("the consumer opted this address out")
    if consumer.inconvenient_media is not None and "email" in consumer.inconvenient_media:
        return blocked("the consumer asked not to be contacted by email")
    missing = [
        name
        for name, value in (
            ("email.opted_out", email.opted_out),
            ("consumer.inconvenient_media", consumer.inconvenient_media),
        )
        if value is None
    ]
    return unknown(*missing) if missing else passed("neither the address nor email was refused")


def protected(situation: Situation) -> Verdict:
    """11 USC 362 and 524 (stay and discharge); 12 CFR 1006.6(a): deceased persons and minors are not contacted."""
    consumer = situation.facts.consumer
    flags = {"bankrupt": consumer.bankrupt, "deceased": consumer.deceased, "minor": consumer.minor}
    if raised := [name for name, value in flags.items() if value]:
        return blocked(f"the case is flagged: {', '.join(raised)}")
    if missing := [f"consumer.{name}" for name, value in flags.items() if value is None]:
        return unknown(*missing)
    return passed("no flag is raised")


R03 = Rule(
    id="R03",
    name="Represented by an attorney",
    citation="12 CFR 1006.6(b)(2)",
    about="person",
    severity="block",
    stages=PERSON,
    reads=("consumer.attorney",),
    check=represented,
)
R04 = Rule(
    id="R04",
    name="Written cease or refusal",
    citation="12 CFR 1006.6(c)",
    about="person",
    severity="block",
    stages=PERSON,
    reads=("consumer.cease_requested",),
    check=ceased,
)
R05 = Rule(
    id="R05",
    name="Address and medium not opted out",
    citation="12 CFR 1006.14(h), 1006.6(e)",
    about="person",
    severity="block",
    stages=PERSON,
    reads=("email.opted_out", "consumer.inconvenient_media"),
    check=opted_out,
)
R19 = Rule(
    id="R19",
    name="Bankrupt, deceased, minor",
    citation="11 USC 362, 524; 12 CFR 1006.6(a)",
    about="person",
    severity="block",
    stages=PERSON,
    reads=("consumer.bankrupt", "consumer.deceased", "consumer.minor"),
    check=protected,
)
