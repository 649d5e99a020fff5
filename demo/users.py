"""The users of the demo's identity provider."""

from __future__ import annotations

from pathlib import Path

import yaml

USERS_FILE = Path(__file__).parent / "data" / "users.yaml"


def roles_by_user(file: Path = USERS_FILE) -> dict[str, tuple[str, ...]]:
    """The warehouse roles of each user."""
    users = yaml.safe_load(file.read_text(encoding="utf-8"))["users"]
    return {name: tuple(user["roles"]) for name, user in users.items()}
