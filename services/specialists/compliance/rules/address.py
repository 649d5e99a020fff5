"""Rules about the address: its origin, and whether it is safe to use."""

from __future__ import annotations

from datetime import date

from services.specialists.compliance.rules.rule import (
    RuleInput,
    RuleVerdict,
    block_for_missing_facts,
    block_with,
    pass_with,
    require_false,
)


def check_address_origin(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(d)(4): the address was obtained in one of three ways: from the consumer, by a
    creditor's notice, or from a prior collector.
    """
    email = situation.facts.email
    match email.obtained:
        case None:
            return block_for_missing_facts("email.obtained")
        case "consumer":
            return _by_consumer(situation)
        case "creditor_notice":
            return _by_notice(situation)
        case "prior_collector":
            return _by_prior_collector(situation)
        case _:
            return block_with("the address was obtained in a way that the rule does not permit")


def _by_consumer(situation: RuleInput) -> RuleVerdict:
    """(i): the consumer used it to communicate with the collector, or consented directly."""
    email = situation.facts.email
    if email.consumer_used_on is None and email.consented is None:
        return block_for_missing_facts("email.consumer_used_on", "email.consented")
    if email.consumer_used_on is None and not email.consented:
        return block_with("the consumer neither used the address nor consented to it")
    return pass_with("the consumer used the address or consented to it")


def _by_notice(situation: RuleInput) -> RuleVerdict:
    """(ii): the creditor's notice gave the consumer at least 35 days to opt out, and the period is over."""
    email = situation.facts.email
    if email.creditor_notice_on is None or email.notice_opt_out_until is None:
        return block_for_missing_facts("email.creditor_notice_on", "email.notice_opt_out_until")
    sent, until = date.fromisoformat(email.creditor_notice_on), date.fromisoformat(email.notice_opt_out_until)
    if sent > situation.today:
        return block_with("the creditor's notice is dated in the future")
    if (until - sent).days < situation.pack.address.min_notice_days:
        return block_with(f"the creditor's notice gave {(until - sent).days} days to opt out")
    if until >= situation.today:
        return block_with("the creditor's notice still lets the consumer opt out")
    return pass_with("the creditor's notice was sent and its opt-out period is over")


def _by_prior_collector(situation: RuleInput) -> RuleVerdict:
    """(iii): the consumer used the address with the prior collector and did not opt out."""
    used = situation.facts.email.consumer_used_on
    if used is None:
        return block_for_missing_facts("email.consumer_used_on")
    days = (situation.today - date.fromisoformat(used)).days
    if days < 0:
        return block_with("the address was used at a date in the future")
    if days > situation.pack.address.prior_collector_days:
        return block_with(f"the address was last used {days} days ago with a prior collector")
    return pass_with("the consumer used the address with the prior collector")


def check_third_party_disclosure(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(d)(3) and (5): an address known to have disclosed the debt to a third party is not used."""
    return require_false(
        situation.facts.email.disclosed_to_third_party,
        "email.disclosed_to_third_party",
        broken="the address is known to have disclosed the debt to a third party",
        fine="no such disclosure is known",
    )


def check_work_address(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.22(f)(3): no address that the employer provides. An unknown domain warns: an approver decides."""
    email = situation.facts.email
    if email.work_address:
        return block_with("the address is known to be provided by the employer")
    domain = email.address.rsplit("@", 1)[1].lower()
    if domain in situation.pack.address.free_mail:
        return pass_with("the domain is open to the public")
    if email.work_address is False:
        return pass_with("the address is known not to be the employer's")
    return RuleVerdict("warn", (f"whether {domain} is an employer's domain is unknown",))
