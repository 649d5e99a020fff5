"""Plans that the tests run through `switchyard.devstack.stack.daemon.start_stack`."""

import sys
from pathlib import Path

from switchyard.devstack.stack.stack import StackPlan
from switchyard.devstack.supervisor.process import ServiceSpec

TOY = (sys.executable, "-I", "-S", str(Path(__file__).with_name("toy_service.py")))


def two_services() -> StackPlan:
    return StackPlan(
        services=[ServiceSpec(name="router", argv=TOY), ServiceSpec(name="drafter", argv=(*TOY, "offspring"))],
        simulator=None,
    )


def stubborn_service() -> StackPlan:
    return StackPlan(services=[ServiceSpec(name="mule", argv=(*TOY, "stubborn"), grace=60)], simulator=None)


def crashing_service() -> StackPlan:
    return StackPlan(services=[ServiceSpec(name="drafter", argv=(*TOY, "crash"))], simulator=None)
