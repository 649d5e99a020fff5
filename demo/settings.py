"""What the demo reads from the environment of a docker compose stack."""

from __future__ import annotations

from switchyard.cli.app.settings import TargetSettings, needed


class DemoSettings(TargetSettings):
    """Addresses inside the stack's network are of no use outside: these are its published ones."""

    demo_optout_url: str = needed("the address of the opt-out pages")
    demo_outbox_url: str = needed("the address of the SES simulator")
