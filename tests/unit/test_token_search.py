"""The search for tokens finds what it must, and takes nothing else for one."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import import_private_key, sign_grant
from tests.token_search import leaks_in_files, tokens_in

KEY = ECKey.generate_key("P-256", {"kid": "k"})
TOKEN = jwt.encode({"alg": "ES256", "kid": "k"}, {"sub": "ana"}, KEY, algorithms=["ES256"])
HEAD, PAYLOAD, SIGNATURE = TOKEN.split(".")
GRANT = sign_grant(
    GrantClaims(
        iss="upstream.api",
        jti="11111111-1111-4111-8111-111111111111",
        sub="ana",
        tenant="acme",
        agents=(),
        scopes=(),
        audiences=(),
        iat=1,
        exp=2,
    ),
    "k1",
    import_private_key(bytes(32)),
)

TEXTS = {
    "in a header": f"Authorization: Bearer {TOKEN}",
    "in lower case": "bearer abcdefghijklmnop",
    "alone": TOKEN,
    "in JSON in JSON": json.dumps({"body": json.dumps({"token": TOKEN})}),
    "its payload alone": PAYLOAD,
    "cut in the header": HEAD[:14],
    "cut in the payload": f"{HEAD}.{PAYLOAD[:9]}",
    "behind a statement": f"{GRANT} {TOKEN}",
    "joined to a statement": f"{GRANT}.{TOKEN}",
    "in a bytea": "\\x" + TOKEN.encode().hex(),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_token_is_found(text: str) -> None:
    assert tokens_in(f"before {text} after")


def test_token_that_was_issued_is_found_by_its_signature() -> None:
    assert tokens_in(f"x{SIGNATURE}x", issued=[TOKEN])
    assert not tokens_in(f"x{SIGNATURE}x")


@pytest.mark.parametrize(
    "text",
    [
        GRANT,
        "send the header Authorization: Bearer TOKEN",
        "eyJ",
        "the bearer of a grant",
        '{"key": "value"}',
        "65794a",
    ],
)
def test_text_without_a_token_is_passed(text: str) -> None:
    assert tokens_in(text) == []


def test_ciphertext_is_taken_for_no_token_however_long() -> None:
    for _ in range(50):
        assert tokens_in(base64.b64encode(os.urandom(60_000)).decode()) == []


def test_token_in_any_file_of_a_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "core.1").write_bytes(b"\x00\xff" + TOKEN.encode() + b"\x00")
    (tmp_path / "clean.log").write_text("nothing")
    assert [place for place, _ in leaks_in_files(tmp_path)] == [str(tmp_path / "deep" / "core.1")]
