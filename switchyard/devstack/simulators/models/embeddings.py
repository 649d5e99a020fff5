"""Titan's embeddings on Bedrock's InvokeModel: real vectors, of wordllama's small model with weights in its wheel."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from switchyard.devstack.simulators.models.exchange import InvalidModelRequest, reading_request, to_json

DIMENSIONS = 256


def is_embedding_model(model: str) -> bool:
    """Whether a model id, or the ARN of one, is of an embedding model."""
    return "titan-embed-text" in model


def embed_text(body: bytes) -> bytes:
    """The answer to a request. Raises `InvalidModelRequest` for one that Titan would refuse."""
    with reading_request():
        request = json.loads(body)
        text, dimensions = request["inputText"], request.get("dimensions", DIMENSIONS)
    if not isinstance(text, str) or not text:
        raise InvalidModelRequest("inputText is missing: send the text to embed")
    if dimensions != DIMENSIONS:
        raise InvalidModelRequest(f"the simulator embeds in {DIMENSIONS} dimensions: send that in `dimensions`")
    vector = _model().embed([text], norm=bool(request.get("normalize", True)))[0]
    found = {"embedding": [float(each) for each in vector], "inputTextTokenCount": max(1, len(text) // 4)}
    return to_json(found)


@cache
def _model() -> Any:
    """Loaded at the first call: it takes a second and 120 MB."""
    import wordllama

    # Without these two it would fetch its tokenizer from the network.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
