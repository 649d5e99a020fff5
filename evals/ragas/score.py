"""Scores samples with ragas, in ragas' own environment, which has nothing of ours: samples come as JSON on standard
input, scores go as JSON to standard output."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import boto3
from openai import AsyncOpenAI
from ragas.embeddings.base import BaseRagasEmbedding
from ragas.llms import llm_factory
from ragas.metrics.collections import AnswerRelevancy, Faithfulness

DIMENSIONS = 256
AT_ONCE = 4


class TitanEmbedding(BaseRagasEmbedding):  # type: ignore[misc]
    """Titan Text Embeddings V2 by Bedrock's InvokeModel, as memory makes them."""

    def __init__(self, client: Any, model_id: str) -> None:
        super().__init__()
        self._client, self._model_id = client, model_id

    def embed_text(self, text: str, **_: Any) -> list[float]:
        """The text's vector, of length 1."""
        body = json.dumps({"inputText": text, "dimensions": DIMENSIONS, "normalize": True})
        answer = self._client.invoke_model(modelId=self._model_id, body=body)
        vector: list[float] = json.loads(answer["body"].read())["embedding"]
        return vector

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        """The same."""
        return await asyncio.to_thread(self.embed_text, text)


async def score(samples: list[dict[str, Any]], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Both metrics for each sample; a metric that fails has its error's class in place of a figure."""
    bedrock = boto3.client("bedrock-runtime", **settings["bedrock"])
    key = os.environ.get("OPENAI_API_KEY") or "none"
    model = llm_factory(settings["model"], client=AsyncOpenAI(base_url=settings["base_url"], api_key=key))
    faithful = Faithfulness(llm=model)
    relevant = AnswerRelevancy(llm=model, embeddings=TitanEmbedding(bedrock, settings["embedding"]))
    slots = asyncio.Semaphore(AT_ONCE)

    async def measure(metric: Any, **fields: Any) -> float | str:
        async with slots:
            try:
                return float((await metric.ascore(**fields)).value)
            except Exception as error:  # noqa: BLE001 - one answer that cannot be scored is reported, not the end of a run
                return type(error).__name__

    async def both(sample: dict[str, Any]) -> dict[str, Any]:
        asked = {"user_input": sample["question"], "response": sample["answer"]}
        faithfulness, relevancy = await asyncio.gather(
            measure(faithful, **asked, retrieved_contexts=sample["contexts"]), measure(relevant, **asked)
        )
        return {"id": sample["id"], "faithfulness": faithfulness, "answer_relevancy": relevancy}

    return list(await asyncio.gather(*map(both, samples)))


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump(asyncio.run(score(given["samples"], given["settings"])), sys.stdout)
