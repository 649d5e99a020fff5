"""The model of a what-if: one that is named on the command line, under the model policies of then."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from inspect import isawaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import load_app
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.protocol.bundles import AgentBundle

_REMEDY = "name simulator, openai:NAME, bedrock:ID, or a NAME with --base-url"


class WhatIfModels:
    """Opens the named model once, and wraps it for each case in the policies that its bundles record: data that no
    other vendor might see then is shown to none now."""

    def __init__(self, target: Target, name: str | None, base_url: str | None) -> None:
        """Without a name, no model is asked."""
        self._target = target
        self._name = name
        self._base_url = base_url
        self._stack = ExitStack()
        self._model: Any = None
        self._bundles: dict[str, AgentBundle] = {}
        self._wrapped: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        """Raises `InvalidArgument` for a model that cannot be named."""
        if self._name is not None:
            self._model = self._open(self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client = getattr(self._model, "client", None)
        closing = client.close() if client is not None else None
        if isawaitable(closing):  # OpenAI's client; Bedrock's has closed
            await closing
        self._stack.close()

    def _open(self, name: str) -> Any:
        from pydantic import ValidationError

        from switchyard.app.application import resource_path
        from switchyard.evals.models import SIMULATOR_MODEL, open_model
        from switchyard.runtime.models.clients import ModelSettings, bedrock_model, openai_model

        vendor, _, model_id = name.partition(":")
        try:
            if name == SIMULATOR_MODEL:
                scripts = [resource_path(script) for script in load_app().model_scripts]
                return self._stack.enter_context(open_model(name, None, scripts))
            if vendor == "bedrock" and model_id:
                return bedrock_model(ModelSettings(bedrock_id=model_id))
            if self._base_url is not None:
                chosen = {"openai_id": name.removeprefix("openai:"), "openai_base_url": self._base_url}
                settings = ModelSettings(**chosen)  # type: ignore[arg-type]
                if settings.openai_api_key is None:
                    settings = ModelSettings(**chosen, openai_api_key="none")  # type: ignore[arg-type]
                return openai_model(settings)
            if vendor == "openai" and model_id:
                return openai_model(ModelSettings(openai_id=model_id))
        except (ValueError, ValidationError) as error:
            raise InvalidArgument(f"--model {name}: {error}", remedy=_REMEDY) from error
        raise InvalidArgument(f"--model {name} names no model", remedy=_REMEDY)

    async def open(self, bundles: Sequence[str]) -> Any:
        """The model under the policies of the first of these bundles that has a model. Raises `NotAnswerable` if none
        has one or can be read, because who may see the data is then unknown."""
        from latency_failover import FailoverModel, ModelPolicies
        from switchyard.audit.what_if.agents import NotAnswerable, UnaskedModel
        from switchyard.cli.app.bundles import read_bundle

        if self._model is None:
            return UnaskedModel()
        for digest in dict.fromkeys(bundles):
            if digest not in self._bundles:
                try:
                    self._bundles[digest] = await read_bundle(self._target, digest)
                except CommandFailed as error:
                    raise NotAnswerable(f"its model policies are gone: {error.message}") from error
            models = self._bundles[digest].models
            if models is None:
                continue
            if digest not in self._wrapped:
                policies = ModelPolicies.model_validate(models["model_policies"])
                self._wrapped[digest] = FailoverModel(self._model, None, models=policies)
            return self._wrapped[digest]
        raise NotAnswerable("no model was asked in the case, so its model policies are not known")
