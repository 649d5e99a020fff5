"""Whether an answer is whole: the vendor's own reason says that nothing is missing."""

from pydantic_ai.messages import ModelResponse

from latency_failover.errors import IncompleteAnswer, IncompleteKind

_WHOLE = frozenset({"stop", "tool_call"})
"""pydantic-ai's names of the reasons after which nothing is missing."""

_KINDS: dict[str | None, IncompleteKind] = {"length": "truncated", "content_filter": "filtered"}

_WITHOUT_REASON = frozenset({"function", "test"})
"""pydantic-ai's models for tests, which give no reason."""


def require_whole(response: ModelResponse, *, vendor: str, own_word: bool) -> None:
    """Raise `IncompleteAnswer` unless the answer ended for a reason after which nothing is missing.

    `own_word`: the vendor's own word for it must be there, because this adapter takes a stream without a reason for a
    whole one.
    """
    if vendor in _WITHOUT_REASON:
        return
    word = (response.provider_details or {}).get("finish_reason")
    if response.finish_reason in _WHOLE and (word or not own_word):
        return
    kind = _KINDS.get(response.finish_reason, "error")
    named = response.finish_reason if kind != "error" else "no_reason"
    raise IncompleteAnswer(str(word or named), kind)
