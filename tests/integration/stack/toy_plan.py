"""Plans that the tests run through `switchyard.devstack.stack.daemon.start_stack`."""

import sys
from pathlib import Path

from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.process import ServiceSpec

TOY = (sys.executable, "-I", "-S", str(Path(__file__).with_name("toy_service.py")))


def two_services(home: Path) -> EmbeddedStack:
    return EmbeddedStack(
        home,
        services=[ServiceSpec(name="router", argv=TOY), ServiceSpec(name="drafter", argv=(*TOY, "offspring"))],
    )


def stubborn_service(home: Path) -> EmbeddedStack:
    return EmbeddedStack(home, services=[ServiceSpec(name="mule", argv=(*TOY, "stubborn"), grace=60)])


def crashing_service(home: Path) -> EmbeddedStack:
    return EmbeddedStack(home, services=[ServiceSpec(name="drafter", argv=(*TOY, "crash"))])
