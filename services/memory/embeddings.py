"""Embeddings: a text as a vector, by Bedrock's InvokeModel for Titan."""

from __future__ import annotations

import json
import math
from typing import Any, Protocol

import structlog

from switchyard.runtime.models.clients import BEDROCK_RUNTIME, ModelSettings, bedrock_credentials
from switchyard.runtime.process.process import ServiceProcess

log = structlog.get_logger(__name__)
DIMENSIONS = 256
MAX_TEXT_CHARS = 4_000


class Embedder(Protocol):
    """Makes vectors. `name` tells which of them may be compared."""

    name: str

    async def embed(self, text: str) -> list[float] | None:
        """The text's vector, of length 1; None if it cannot be had now: memory then goes by words alone."""


class TitanEmbedder:
    """Titan Text Embeddings V2, through an aiobotocore client that the composition root owns."""

    def __init__(self, client: Any, model_id: str) -> None:
        self._client = client
        self.name = f"{model_id}/{DIMENSIONS}"
        self._model_id = model_id

    async def embed(self, text: str) -> list[float] | None:
        """See `Embedder`."""
        body = {"inputText": text[:MAX_TEXT_CHARS], "dimensions": DIMENSIONS, "normalize": True}
        try:
            answer = await self._client.invoke_model(modelId=self._model_id, body=json.dumps(body))
            async with answer["body"] as stream:
                found = json.loads(await stream.read())["embedding"]
            vector = [float(each) for each in found]
        except Exception as error:  # noqa: BLE001 - the boundary: an answer cut short raises what its parser makes of it
            log.warning("memory.not_embedded", defect=type(error).__name__)
            return None
        return vector if len(vector) == DIMENSIONS and all(map(math.isfinite, vector)) else None


async def open_titan(process: ServiceProcess, models: ModelSettings, model_id: str) -> TitanEmbedder:
    """Titan where the models of Bedrock are called, and as whom; closed with the process."""
    client = await process.client(
        BEDROCK_RUNTIME,
        region=models.bedrock_region,
        endpoint_url=models.bedrock_endpoint_url,
        **bedrock_credentials(models),
    )
    return TitanEmbedder(client, model_id)


def vector_text(vector: list[float] | None) -> str | None:
    """As pgvector reads it."""
    return None if vector is None else "[" + ",".join(f"{each:.6f}" for each in vector) + "]"
