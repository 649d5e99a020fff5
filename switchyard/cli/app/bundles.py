"""Reading a configuration bundle by its digest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from switchyard.cli.app.connections import open_aws_client
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.protocol.bundles import AgentBundle

_DIGEST = re.compile(r"[0-9a-f]{64}")


async def read_bundle(target: Target, digest: str) -> AgentBundle:
    """A stored bundle. Raises `InvalidArgument` for what is no digest, `CommandFailed` if no bundle is
    stored under it, or other bytes than it covers."""
    import hashlib

    from switchyard.protocol.bundles import AgentBundle, bundle_key
    from switchyard.runtime.core.errors import PermanentTaskError
    from switchyard.runtime.storage.objects import S3Objects

    if _DIGEST.fullmatch(digest) is None:
        remedy = "give all 64 characters: `switchyard case show CASE --json` has them"
        raise InvalidArgument(f"{digest} is not a digest", remedy=remedy)
    async with open_aws_client(target, "s3") as s3:
        bucket = target.settings.objects_bucket
        try:
            stored = await S3Objects(s3, bucket).get(f"s3://{bucket}/{bundle_key(digest)}")
        except PermanentTaskError as error:
            remedy = "see `switchyard case show CASE --json` for the bundles of a case"
            raise CommandFailed(f"no bundle is stored under {digest}", remedy=remedy) from error
    if hashlib.sha256(stored).hexdigest() != digest:
        raise CommandFailed(f"the bundle under {digest} has been altered", remedy="treat it as an incident")
    return AgentBundle.model_validate_json(stored)
