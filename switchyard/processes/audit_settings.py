"""Settings of the audit process."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from switchyard.audit.transparency.checkpoint import MAX_CHECKPOINT_ROWS, LogName
from switchyard.runtime.core.settings import HexKey, ProcessSettings
from switchyard.runtime.storage.locked_objects import LockMode


class AuditSettings(ProcessSettings):
    """The audit process: its database, its batches, its checkpoints."""

    audit_db_url: SecretStr = Field(description="The audit database, as the role `audit`.")
    row_kms_key_id: str | None = Field(default=None, description="The KMS key that wraps the keys of the rows' MACs.")
    row_key: HexKey | None = Field(
        default=None, description="32 bytes in hex that wrap the keys of the rows' MACs; local stack only."
    )
    batch_size: Annotated[int, Field(ge=1, le=1_000)] = Field(default=100, description="Maximum rows in one insert.")
    batch_wait_s: Annotated[float, Field(ge=0, le=5)] = Field(
        default=0.1, description="How long a partial batch waits for more messages."
    )
    batches: Annotated[int, Field(ge=1, le=4)] = Field(default=2, description="Concurrent batches.")
    sequence_every_s: Annotated[float, Field(ge=0.05, le=60)] = Field(
        default=1.0, description="Interval of the sequencer."
    )
    checkpoint_bucket: str | None = Field(
        default=None, description="A bucket with Object Lock for checkpoints; without it no checkpoints are written."
    )
    checkpoint_log: LogName = Field(default="main", description="The log's name in its checkpoints; one per database.")
    checkpoint_kms_key_id: str | None = Field(
        default=None, description="The asymmetric KMS key that signs checkpoints."
    )
    checkpoint_key: HexKey | None = Field(
        default=None, description="An Ed25519 private key, 32 bytes in hex, that signs checkpoints; local stack only."
    )
    checkpoint_public_keys: str = Field(
        default="", description="Older keys whose checkpoints are valid: base64 of the DER, comma-separated."
    )
    checkpoint_rows: Annotated[int, Field(ge=1, le=MAX_CHECKPOINT_ROWS)] = Field(
        default=1_000, description="Entries after which a checkpoint is due."
    )
    checkpoint_every_s: Annotated[float, Field(ge=0.1, le=86_400)] = Field(
        default=60.0, description="Age of the first entry after which a checkpoint is due."
    )
    checkpoint_keep_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        default=3_653, description="How long Object Lock keeps a checkpoint: at least as long as the log itself."
    )
    checkpoint_lock_mode: LockMode = Field(
        default="COMPLIANCE", description="GOVERNANCE lets an account's administrator remove checkpoints; for trials."
    )
