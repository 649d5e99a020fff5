"""The judge as its own process serves it, and cases that have ended, as their producers stored them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts.events.drafter import AnswerDrafted
from contracts.events.router import AnswerQuestion, DraftAnswer
from contracts.events.specialists import FindingsReady
from services.judge.main import run
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Artefact, Contract, Json, StorageRef
from switchyard.runtime.core.clock import timestamp
from tests.integration.cloud import Cloud, until
from tests.integration.events import MARKER, NOW, envelope_of, fresh_id, opened, rewritten
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.known_cases import Person, known_cases
from tests.integration.serving import free_port, queues_of, stop_serving
from tests.integration.simulator.running import Running, start
from tests.reference import derive_event

JUDGE = "judge"
QUEUE, DEAD_LETTERS = queues_of(JUDGE)
SCRIPTS = Path(__file__).parents[3] / "demo" / "data" / "simulator"
JUDGED, UNJUDGED = "judged-tenant", "acme"
RATES = json.dumps([{"tenant": "judged-*", "rate": 1.0}])


@pytest.fixture(scope="module")
def model() -> Iterator[Running]:
    """The simulator with the judgements of the demo, and with one that must not count."""
    own = Path(__file__).with_name("judge.yaml")
    started, url = start("--script", str(own), "--script", str(SCRIPTS / "judge.yaml"))
    with started:
        yield Running(url)
        started.terminate()


StartJudge = Callable[[], Awaitable[None]]


@pytest.fixture
async def start_judge(
    infrastructure: Infrastructure,
    cloud: Cloud,
    model: Running,
    borrowed_logs: None,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[StartJudge]:
    """Serves the judge in this interpreter, with a rate for one tenant."""
    await cloud.purge(QUEUE, DEAD_LETTERS)
    for name, value in {
        **infrastructure.environment,
        "SWITCHYARD_WORK_DB_URL": infrastructure.role_url(JUDGE),
        "SWITCHYARD_VAULT_KEY": "00" * 32,
        "SWITCHYARD_VISIBILITY_S": "2",
        "SWITCHYARD_POLL_WAIT_S": "1",
        "SWITCHYARD_RETRY_BASE_S": "0.05",
        "SWITCHYARD_DRAIN_S": "5",
        "SWITCHYARD_DEPLOY_GRACE_S": "0",
        "SWITCHYARD_HEALTH_PORT": str(free_port()),
        "SWITCHYARD_JUDGE_RATES": RATES,
        "SWITCHYARD_MODEL_BEDROCK_ENDPOINT_URL": model.url,
        "SWITCHYARD_MODEL_OPENAI_BASE_URL": f"{model.url}/v1",
        "SWITCHYARD_MODEL_OPENAI_API_KEY": "local",
    }.items():
        monkeypatch.setenv(name, value)
    serving: list[asyncio.Task[None]] = []

    async def begin() -> None:
        serving.append(asyncio.create_task(run()))

    yield begin
    await stop_serving(cloud, JUDGE, *serving)


@dataclass
class EndedCase:
    """An answered case: its events in the outboxes of their producers, unless a test leaves one out."""

    tenant: str = JUDGED
    answer: str = f"The well {MARKER} is 9,500 ft deep [F1]."
    case_id: str = field(default_factory=fresh_id)
    events: dict[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        person = Person(bytes(32), tenant=self.tenant)
        sealed: dict[str, tuple[Artefact, StorageRef]] = {
            name: person.artefact(self.case_id, name, text.encode())
            for name, text in (
                ("question", f"How deep is {MARKER}?"),
                ("findings", json.dumps({"summary": f"{MARKER}: 9500 ft"})),
                ("answer", json.dumps({"text": self.answer})),
            )
        }
        (question, asked_at), (findings, found_at), (answer, answered_at) = sealed.values()
        first = opened(self.case_id, subject=person.subject, known=False)
        first |= {
            "tenant": self.tenant,
            "principal": first["principal"] | {"tenant": self.tenant},
            "payload": first["payload"] | {"question": question.model_dump(mode="json", exclude_none=True)},
            "storage_refs": {question.sha256: asked_at.model_dump(exclude_none=True)},
        }
        first = rewritten(first)
        asked = self._after(first, AnswerQuestion(question=question), "router", "text_to_sql")
        found = self._after(asked, FindingsReady(findings=(findings,)), "text_to_sql", refs={findings.sha256: found_at})
        draft = self._after(found, DraftAnswer(question=question, findings=(findings,)), "router", "drafter")
        drafted = self._after(
            draft, AnswerDrafted(answer=answer, cites=("F1",)), "drafter", refs={answer.sha256: answered_at}
        )
        close = self._after(drafted, CloseCase(outcome="answered", code="answered", answer=answer), "router")
        closed = self._after(close, CaseClosed(outcome="answered", code="answered", answer=answer), "case_manager")
        self.events = {"opened": first, "found": found, "drafted": drafted, "closed": closed}

    @property
    def closed(self) -> Json:
        """The ending, as the bus has it."""
        return self.events["closed"]

    async def store(self, owner: Owner, *, without: str = "", over: bool = True) -> EndedCase:
        """Write what the services would have written."""
        cases = known_cases()
        assert cases is not None
        cases.add_case(self.events["opened"])
        for name, event in self.events.items():
            if name != without:
                await owner.execute(f"insert into {event['node_from']}.outbox (event) values ($1)", json.dumps(event))
        if over:
            await owner.execute(
                "insert into case_manager.case_ending (case_id, outcome, event_id) values ($1, 'answered', $2)",
                self.case_id,
                self.closed["event_id"],
            )
        return self

    @staticmethod
    def _after(
        cause: Json, payload: Contract, node: str, to: str | None = None, refs: dict[str, StorageRef] | None = None
    ) -> Json:
        event = derive_event(envelope_of(cause), payload, node_from=node, node_to=to, storage_refs=refs)
        return stamp_event(event, occurred_at=timestamp(NOW), trace={})


async def dead_letter_of(cloud: Cloud, case: EndedCase) -> str:
    """Why the judge could not judge a case, once its message is in the dead-letter queue."""
    found: list[str] = []

    async def there() -> bool:
        answer = await cloud.sqs.receive_message(
            QueueUrl=await cloud.url(DEAD_LETTERS),
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            VisibilityTimeout=0,
        )
        found.extend(
            message["MessageAttributes"]["reject-reason"]["StringValue"]
            for message in answer.get("Messages", ())
            if case.case_id in message["Body"]
        )
        return bool(found)

    await until(there, "a dead letter with a reason")
    return found[0]
