"""Each event of an agent names the configuration bundle that made it, and the bundle can be read."""

from __future__ import annotations

import hashlib

import pytest
from pydantic_ai.models.test import TestModel

from contracts.cards import AGENT_CARDS
from contracts.catalogue import CATALOGUE
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.bundles import AgentBundle, as_content, bundle_key
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.settings import WorkSettings
from switchyard.runtime.models.clients import MeteredModel, ModelSettings
from switchyard.runtime.process.agent import AgentProcess
from tests.integration.cloud import Cloud, Tap, until
from tests.integration.events import NODE, command
from tests.integration.runtime.conftest import Counting, StartWorker, stop_workers

pytestmark = pytest.mark.integration


async def _stored(cloud: Cloud, event: Json) -> AgentBundle:
    found: list[bytes] = []

    async def there() -> bool:
        listed = await cloud.s3.list_objects_v2(Bucket=OBJECT_BUCKET, Prefix=bundle_key(event["bundle"]))
        for each in listed.get("Contents", ()):
            answer = await cloud.s3.get_object(Bucket=OBJECT_BUCKET, Key=each["Key"])
            async with answer["Body"] as body:
                found.append(await body.read())
        return bool(found)

    await until(there, "a stored bundle")
    assert hashlib.sha256(found[0]).hexdigest() == event["bundle"]
    return AgentBundle.model_validate_json(found[0])


@pytest.mark.parametrize("ends", ["answered", "failed"])
async def test_outcome_names_the_bundle_that_its_agent_has_stored(
    ends: str, start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    errors = [PermanentTaskError("no_data", "nothing was found")] if ends == "failed" else []
    await start_worker(Counting(*errors), code_version="0a1b")
    await cloud.put(command(case_id))
    [event] = await tap.next(NODE, case_id)
    bundle = await _stored(cloud, event)
    assert (bundle.agent, bundle.code) == (NODE, "0a1b")
    assert bundle.card == as_content(AGENT_CARDS[NODE].model_dump())


async def test_outcome_published_again_by_another_release_names_the_bundle_that_made_it(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    first = await start_worker(Counting(), code_version="0a1b")
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    await stop_workers(cloud, first)
    await start_worker(Counting(), code_version="0a1c")
    await cloud.deliver(NODE, command(case_id))
    before, after = await tap.next(NODE, case_id, 2)
    assert before == after


def test_model_without_a_prompt_has_no_bundle() -> None:
    settings = WorkSettings.model_construct(region="us-east-1", code_version="dev")
    process = AgentProcess(CATALOGUE, AGENT_CARDS[NODE], settings)
    process._model = MeteredModel(TestModel(), None, ModelSettings(), version="t/1")
    with pytest.raises(RuntimeError, match="prompts"):
        _ = process.bundle
    process.configure(prompts={"answer": "Write."})
    assert process.bundle.prompts == {"answer": "Write."}
    assert process.bundle.models is not None
    assert process.bundle.models["primary"]["model_id"] == "test"  # type: ignore[index,call-overload]
