"""The person who asked for an effect does not approve it, under any name."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.protocol.fields import Principal
from switchyard.protocol.four_eyes import FourEyes, fold_identity, submitter_of

PEOPLE = {"oncall": ("oncall@harbor.example", "EMP-0042"), "c.ruiz": ("c.ruiz@harbor.example",)}
FOUR_EYES = FourEyes(["oncall", "m.okafor"], PEOPLE)


def spelt(name: str) -> st.SearchStrategy[str]:
    """The same identity as people and systems spell it: case, compatibility forms, blanks."""

    def respell(draws: list[tuple[bool, bool]]) -> str:
        signs = [sign.upper() if upper else sign for sign, (upper, _) in zip(name, draws, strict=True)]
        wide = [
            chr(ord(sign) + 0xFEE0) if widen and "!" <= sign <= "~" else sign
            for sign, (_, widen) in zip(signs, draws, strict=True)
        ]
        return "".join(wide)

    spelling = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=len(name), max_size=len(name)).map(respell)
    return st.tuples(spelling, st.sampled_from(["", " ", "\u00a0"])).map("".join)


@given(st.sampled_from(["oncall", *PEOPLE["oncall"]]).flatmap(spelt))
def test_approver_who_submitted_under_any_spelling_may_not_approve(submitter: str) -> None:
    assert not FOUR_EYES.may_approve("oncall", submitter)
    assert not FOUR_EYES.is_approved(["oncall"], submitter)
    assert FOUR_EYES.is_approved(["m.okafor"], submitter)


@given(st.text(min_size=1, max_size=40))
def test_single_approval_never_suffices_for_an_unknown_submitter(submitter: str) -> None:
    known = {fold_identity(each) for each in ("oncall", "m.okafor", "c.ruiz", *sum(PEOPLE.values(), ()))}
    if fold_identity(submitter) not in known:
        assert FOUR_EYES.approvals_needed(submitter) == 2
        assert not any(FOUR_EYES.is_approved([each], submitter) for each in ("oncall", "m.okafor"))
        assert FOUR_EYES.is_approved(["oncall", "m.okafor"], submitter)


@pytest.mark.parametrize(
    "submitter",
    [
        "oncall@mail.harbor.example",
        "oncall+x@harbor.example",
        "oncall@harbor.example.",
        "0ncall",
        "\u043encall",
        "on.call",
    ],
)
def test_unlisted_variant_of_a_name_needs_a_second_approver(submitter: str) -> None:
    assert not FOUR_EYES.is_approved(["oncall"], submitter)
    assert not FOUR_EYES.is_approved(["oncall", "oncall", "OnCall", "nobody"], submitter)


@given(st.text(max_size=40))
def test_identity_folded_twice_is_unchanged(text: str) -> None:
    assert fold_identity(fold_identity(text)) == fold_identity(text)
    assert unicodedata.is_normalized("NFKC", fold_identity(text))


def test_person_outside_the_approvers_may_not_approve() -> None:
    assert not FOUR_EYES.may_approve("c.ruiz", "somebody")
    assert not FOUR_EYES.may_approve("Oncall", "c.ruiz"), "an approver is named exactly as configured"


@pytest.mark.parametrize(
    ("approvers", "identities"),
    [
        (["oncall", "Oncall"], {}),
        (["a", "b"], {"a": ("x@y.example",), "b": ("X@Y.example",)}),
        (["a", "b"], {"a": ("a2",), "b": ("a2",)}),
        (["a", "b", "c"], {"a": ("b",), "b": ("c",)}),
        (["a", "b"], {"a": ("b",), "b": ("a",)}),
    ],
)
def test_identity_of_two_persons_is_a_configuration_error(
    approvers: list[str], identities: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(ValueError, match="belongs to two persons"):
        FourEyes(approvers, identities)


@pytest.mark.parametrize("names", [("ada", "ada.2026"), ("ada.2026", "ada")])
def test_person_with_two_names_and_two_keys_is_one_approver(names: tuple[str, str]) -> None:
    four_eyes = FourEyes([*names, "bo"], {names[0]: ("ada@harbor.example", names[1].upper())})
    assert not four_eyes.is_approved(names, "upstream.unknown"), "one person agreed twice"
    assert four_eyes.is_approved([names[1], "bo"], "upstream.unknown")
    for submitter in (*names, "Ada@Harbor.example"):
        assert not any(four_eyes.may_approve(name, submitter) for name in names)
        assert four_eyes.is_approved(["bo"], submitter)


def test_submitter_is_the_staff_member_or_the_subject() -> None:
    assert submitter_of(Principal(sub="service:upstream.a", tenant="t", act=("staff:c.ruiz",))) == "c.ruiz"
    assert submitter_of(Principal(sub="service:upstream.a", tenant="t", act=("user:u",))) == "service:upstream.a"
