"""Plans that the tests run through `local.daemon.up`."""

import sys
from pathlib import Path

from local.process import Service
from local.stack import Plan

TOY = (sys.executable, "-I", "-S", str(Path(__file__).with_name("toy_service.py")))


def two_services() -> Plan:
    return Plan(
        services=[Service(name="router", argv=TOY), Service(name="drafter", argv=(*TOY, "offspring"))], simulator=None
    )


def stubborn_service() -> Plan:
    return Plan(services=[Service(name="mule", argv=(*TOY, "stubborn"), grace=60)], simulator=None)


def crashing_service() -> Plan:
    return Plan(services=[Service(name="drafter", argv=(*TOY, "crash"))], simulator=None)
