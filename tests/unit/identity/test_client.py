"""What an agent makes of the identity service's answers."""

from __future__ import annotations

import pytest

from switchyard.identity.client import _describe_error


def test_error_of_the_service_has_its_code_and_message() -> None:
    assert _describe_error(b'{"error": "task_not_open", "message": "no such task"}') == (
        "task_not_open",
        "no such task",
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'{"error": 1}', b"<html>", b"[" * 5_000, b"\xff\xfe"])
def test_error_in_another_form_is_unreadable_and_raises_nothing(body: bytes) -> None:
    assert _describe_error(body)[0] == "unreadable"
