"""Where the emulators differ from AWS, and so from each other: every known difference is a field here, with its reason.

A test that must know asks the fixture `emulator`. The tests in tests/faststream_sqs/test_emulators.py and
tests/integration/test_emulators.py show each difference on the emulator that is running, so that this list cannot rot.
What is not listed has to be the same everywhere.
"""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field, fields, replace
from typing import Any


def _trait(why: str, *, aws: Any) -> Any:
    return field(default=aws, metadata={"why": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """What answers at the endpoint. The defaults are what AWS does, and so what is expected of an unknown endpoint.

    Attributes:
        name: what to call it.
        version: what it says about itself.
        health: the path at which it tells that it is this emulator.
    """

    name: str = "AWS"
    version: str = ""
    health: str = ""

    event_bytes: int | None = _trait(
        "bytes of one event. LocalStack keeps the 256 KB that AWS raised in January 2026, and counts each event by "
        "itself and not the request; ministack has no limit",
        aws=1_000_000,
    )
    refuses_malformed_detail: bool = _trait(
        "an event whose detail is no JSON object fails. ministack delivers it, so the broker's handling of such a "
        "failure is shown there by an answer in its place",
        aws=True,
    )
    refuses_malformed_pattern: bool = _trait(
        "PutRule refuses a pattern it does not understand. LocalStack accepts it, and then the later rules of that bus "
        "receive nothing: check patterns elsewhere",
        aws=True,
    )
    stale_receipt_deletes: bool = _trait(
        "a message that is in other hands again can be deleted with the receipt of its earlier delivery. On LocalStack "
        "it is gone for both; AWS says that the request succeeds and the message may not be deleted",
        aws=False,
    )
    blames_the_sender: bool = _trait(
        "a refused entry of an SQS batch carries SenderFault. LocalStack never sets it: whether a refusal is final "
        "must be distinguished by its code as well",
        aws=True,
    )
    deletes_the_deleted: bool = _trait(
        "deleting a message a second time succeeds. ministack calls the receipt invalid",
        aws=True,
    )
    counts_attributes: bool = _trait(
        "a message with more than ten attributes is refused. Neither emulator counts: the broker does, before sending",
        aws=True,
    )
    target_sets_group: bool = _trait(
        "the MessageGroupId of a rule's target reaches a standard queue. ministack drops it",
        aws=True,
    )
    target_sets_trace_header: bool = _trait(
        "the TraceHeader of an event reaches the queue as AWSTraceHeader. Neither emulator passes it on: carry the "
        "trace in the detail",
        aws=True,
    )

    delivers_at_once: bool = _trait(
        "an event is on the queues of its rules when PutEvents has answered, as on ministack. LocalStack hands it to a "
        "thread of its own, so a test waits for what it expects, and a while for what must not come",
        aws=False,
    )
    refuses_locks_without_object_lock: bool = _trait(
        "a bucket without Object Lock refuses an object that is to be locked. LocalStack takes it and locks nothing: "
        "make the checkpoints' bucket with Object Lock, as switchyard/devstack/stack/provision.py and terraform do",
        aws=True,
    )
    signing_keys: tuple[str, ...] = _trait(
        "the specs of KMS keys that a checkpoint may be signed with. LocalStack 4.14.0 knows no Ed25519",
        aws=("ECC_NIST_P256", "ECC_NIST_EDWARDS25519"),
    )

    def oddities(self) -> list[str]:
        """What this emulator does otherwise than AWS, a line each."""
        aws = Emulator()
        return [
            f"{each.name} is {getattr(self, each.name)!r}: {each.metadata['why']}"
            for each in fields(self)
            if "why" in each.metadata and getattr(self, each.name) != getattr(aws, each.name)
        ]


AWS = Emulator()

MINISTACK = Emulator(
    name="ministack",
    health="/_ministack/health",
    event_bytes=None,
    refuses_malformed_detail=False,
    deletes_the_deleted=False,
    counts_attributes=False,
    target_sets_group=False,
    target_sets_trace_header=False,
    delivers_at_once=True,
)

LOCALSTACK = Emulator(
    name="LocalStack",
    health="/_localstack/health",
    event_bytes=256 * 1024,
    refuses_malformed_pattern=False,
    stale_receipt_deletes=True,
    blames_the_sender=False,
    counts_attributes=False,
    target_sets_trace_header=False,
    refuses_locks_without_object_lock=False,
    signing_keys=("ECC_NIST_P256",),
)

NOT_SHOWN = (
    "order: 100 events put one after the other arrive in order on ministack, on LocalStack usually not, on AWS never "
    "for sure. No test may rely on it, and none asserts it",
    "throttling, failed entries for reasons of AWS's own, 503: no emulator does these. The tests answer in its place "
    "(fixture `wire`), on every emulator alike",
    "queue policies, KMS grants, IAM: neither emulator enforces them",
    "rules take effect at once on both; AWS takes seconds",
    "a restart: LocalStack's free edition comes back empty, ministack with what it saved when it was stopped",
)
"""What no test here can show, at any endpoint."""


def identify(endpoint: str) -> Emulator:
    """Which emulator listens there; AWS if it is not a known emulator.

    Raises:
        ConnectionError: nothing answers at all.
    """
    for known in (MINISTACK, LOCALSTACK):
        try:
            with urllib.request.urlopen(f"{endpoint}{known.health}", timeout=5) as answer:
                health = json.loads(answer.read())
        except urllib.error.HTTPError:
            continue
        except (urllib.error.URLError, TimeoutError) as error:
            raise ConnectionError(f"AWS_ENDPOINT_URL is {endpoint}, and nothing answers there: {error}") from error
        except ValueError:
            continue
        if isinstance(health, dict) and "services" in health:
            return replace(known, version=str(health.get("version", "")))
    return AWS
