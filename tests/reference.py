"""The engine's functions, bound to the reference application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from contracts.catalogue import CATALOGUE
from services.app import APP
from services.orchestrator.graph import PLAYBOOKS
from switchyard.audit.records import projection
from switchyard.audit.verification import verify
from switchyard.cli.app import corpus
from switchyard.infra import generate, nodes
from switchyard.infra import images as images_module
from switchyard.protocol import derive, received
from switchyard.protocol import topology as queues
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.topology import ConsumerQueues
from switchyard.router import decisions, replay, routing
from switchyard.router.decisions import RoutingDecision
from switchyard.router.playbook import Playbook, RoutingTable
from switchyard.router.replay import CaseReplay
from switchyard.router.state_seal import StateSeal

derive_event = partial(derive.derive_event, CATALOGUE)
build_task_failed = partial(derive.build_task_failed, CATALOGUE)
sole_destination = partial(derive.sole_destination, CATALOGUE)
read_event = partial(received.read_event, CATALOGUE)
find_event_type = partial(received.find_event_type, CATALOGUE)
examine_message = partial(projection.examine_message, CATALOGUE)
verify_case = partial(verify.verify_case, CATALOGUE)
read_cases = partial(corpus.read_cases, CATALOGUE)
consumers = partial(queues.consumers, CATALOGUE)


def with_playbooks(playbooks: Mapping[str, Playbook]) -> RoutingTable:
    """The application with other playbooks."""
    return RoutingTable(CATALOGUE, playbooks)


def route(event: ReceivedEvent[Contract], seal: StateSeal, playbooks: Mapping[str, Playbook] = PLAYBOOKS) -> list[Json]:
    """What follows from an event."""
    return routing.route(event, seal, with_playbooks(playbooks))


def decide_routing(
    body: str,
    seal: StateSeal,
    *,
    operators: OperatorKeys | None = None,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> RoutingDecision:
    """What the router makes of a message."""
    return decisions.decide_routing(body, seal, with_playbooks(playbooks), operators=operators)


def replay_case(
    bodies: Sequence[str],
    seal: StateSeal | None = None,
    *,
    operators: OperatorKeys | None = None,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> CaseReplay:
    """What the router would decide today."""
    return replay.replay_case(bodies, with_playbooks(playbooks), seal, operators=operators)


def feedback_consumer() -> ConsumerQueues:
    """The queue of what the mail provider reports."""
    return APP.consumers[-1]


needs = partial(nodes.needs, APP)
topology = partial(generate.topology, APP)
SECRETS = nodes.secrets(APP)
images = partial(images_module.images, APP)
