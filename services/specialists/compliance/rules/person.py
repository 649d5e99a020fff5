"""Rules about the person: consumers who may not be contacted."""

from __future__ import annotations

from services.specialists.compliance.rules.rule import (
    RuleInput,
    RuleVerdict,
    block_for_missing_facts,
    block_with,
    pass_with,
    require_false,
)


def check_representation(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(b)(2): a consumer known to be represented by an attorney for the debt is not contacted."""
    return require_false(
        situation.facts.consumer.attorney,
        "consumer.attorney",
        broken="the consumer is represented: only the attorney may be contacted",
        fine="no attorney is known",
    )


def check_cease_request(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(c)(1): no contact after a written refusal to pay or a request to cease contact."""
    return require_false(
        situation.facts.consumer.cease_requested,
        "consumer.cease_requested",
        broken="the consumer asked in writing that contact cease, or refused to pay",
        fine="no request to cease is on file",
    )


def check_suppression(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.14(h) and 1006.6(e): neither the address nor the medium was refused.

    The facts are as of the submission. Later opt-outs are on the case manager's suppression list, which the email
    sender reads in the transaction that writes its intent.
    """
    consumer, email = situation.facts.consumer, situation.facts.email
    if email.opted_out:
        return block_with("the consumer opted this address out")
    if consumer.inconvenient_media is not None and "email" in consumer.inconvenient_media:
        return block_with("the consumer asked not to be contacted by email")
    missing = [
        name
        for name, value in (
            ("email.opted_out", email.opted_out),
            ("consumer.inconvenient_media", consumer.inconvenient_media),
        )
        if value is None
    ]
    return block_for_missing_facts(*missing) if missing else pass_with("neither the address nor email was refused")


def check_protected_person(situation: RuleInput) -> RuleVerdict:
    """11 USC 362 and 524 (stay and discharge); 12 CFR 1006.6(a): deceased persons and minors are not contacted."""
    consumer = situation.facts.consumer
    flags = {"bankrupt": consumer.bankrupt, "deceased": consumer.deceased, "minor": consumer.minor}
    if raised := [name for name, value in flags.items() if value]:
        return block_with(f"the case is flagged: {', '.join(raised)}")
    if missing := [f"consumer.{name}" for name, value in flags.items() if value is None]:
        return block_for_missing_facts(*missing)
    return pass_with("no flag is raised")
