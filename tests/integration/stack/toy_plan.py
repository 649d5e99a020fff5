"""Plans that the tests run through `switchyard.devstack.stack.daemon.up`."""

import sys
from pathlib import Path

from switchyard.devstack.stack.stack import Plan
from switchyard.devstack.supervisor.process import Service

TOY = (sys.executable, "-I", "-S", str(Path(__file__).with_name("toy_service.py")))


def two_services() -> Plan:
    return Plan(
        services=[Service(name="router", argv=TOY), Service(name="drafter", argv=(*TOY, "offspring"))], simulator=None
    )


def stubborn_service() -> Plan:
    return Plan(services=[Service(name="mule", argv=(*TOY, "stubborn"), grace=60)], simulator=None)


def crashing_service() -> Plan:
    return Plan(services=[Service(name="drafter", argv=(*TOY, "crash"))], simulator=None)
