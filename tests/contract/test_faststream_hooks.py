"""What `faststream_sqs` takes from FastStream is still there. FastStream moves its private parts in patch releases.

These tests import nothing of the package: it could not be imported if one of its hooks were gone.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[2] / "packages" / "faststream-sqs" / "faststream_sqs"

# Everything private that the package relies on, with the parameters it passes or overrides.
HOOKS = [
    ("faststream._internal.broker", "BrokerUsecase.__init__", {"config", "specification", "routers"}),
    ("faststream._internal.broker", "BrokerUsecase.start", set()),
    ("faststream._internal.broker", "BrokerUsecase.stop", {"exc_type", "exc_val", "exc_tb"}),
    ("faststream._internal.broker", "BrokerUsecase._connect", set()),
    ("faststream._internal.broker", "BrokerUsecase._basic_publish", {"cmd", "producer"}),
    ("faststream._internal.broker", "BrokerUsecase._basic_publish_batch", {"cmd", "producer"}),
    ("faststream._internal.broker", "BrokerUsecase._basic_request", {"cmd", "producer"}),
    ("faststream._internal.broker.registrator", "Registrator.subscriber", {"subscriber", "persistent"}),
    ("faststream._internal.broker.registrator", "Registrator.publisher", {"publisher", "persistent"}),
    ("faststream._internal.broker.router", "BrokerRouter.__init__", {"config", "handlers", "routers"}),
    ("faststream._internal.broker.router", "SubscriberRoute.__init__", {"call", "publishers"}),
    ("faststream._internal.configs", "SubscriberUsecaseConfig.auto_ack_disabled", None),
    ("faststream._internal.configs", "SubscriberUsecaseConfig.ack_policy", None),
    ("faststream._internal.context.context_type", "Context.use", {"kwargs"}),
    ("faststream._internal.di", "FastDependsConfig._serializer", None),
    ("faststream._internal.endpoint.call_wrapper", "HandlerCallWrapper.set_wrapped", {"dependencies", "config"}),
    ("faststream._internal.endpoint.publisher", "PublisherUsecase._basic_publish", {"cmd", "producer"}),
    ("faststream._internal.endpoint.publisher", "PublisherUsecase._basic_request", {"cmd", "producer"}),
    ("faststream._internal.endpoint.publisher.fake", "FakePublisher.patch_command", {"cmd"}),
    ("faststream._internal.endpoint.publisher.fake", "FakePublisher._publish", {"cmd", "_extra_middlewares"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase.consume", {"msg"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase.process_message", {"msg"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase._post_start", set()),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase._make_response_publisher", {"message"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase.add_call", {"parser_", "decoder_", "codec_"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase._get_parser_and_decoder", set()),
    ("faststream._internal.endpoint.subscriber.call_item", "HandlerItem.is_suitable", {"msg", "cache"}),
    ("faststream._internal.endpoint.subscriber.call_item", "HandlerItem.call", {"message", "_extra_middlewares"}),
    ("faststream.middlewares.logging", "CriticalLogMiddleware.__call__", {"msg", "context"}),
    ("faststream._internal.endpoint.subscriber.mixins", "TasksMixin.add_task", {"func"}),
    ("faststream._internal.endpoint.usecase", "Endpoint._call_wrapper_class", None),
    ("faststream._internal.logger", "make_logger_state", {"logger", "log_level", "default_storage_cls"}),
    ("faststream._internal.logger.logging", "get_broker_logger", {"name", "fmt", "context", "log_level"}),
    ("fast_depends.core", "CallModel.asolve", {"args", "kwargs"}),
    ("faststream._internal.testing.broker", "TestBroker.__init__", {"brokers", "with_real", "connect_only"}),
    ("faststream._internal.testing.broker", "TestBroker._create_ctx", set()),
    ("faststream._internal.testing.broker", "TestBroker._fake_start", {"broker"}),
    ("faststream._internal.testing.broker", "TestBroker._patch_producer", {"broker"}),
    ("faststream._internal.testing.broker", "TestBroker._fake_connect", {"broker"}),
    ("faststream._internal.testing.broker", "TestBroker.create_publisher_fake_subscriber", {"broker", "publisher"}),
    ("faststream._internal.testing.broker", "change_producer", {"config", "producer"}),
    ("faststream._internal.testing.calls", "CallRecorder.record", {"message"}),
    ("faststream._internal.endpoint.publisher", "PublisherUsecase.set_test", {"with_fake"}),
    ("faststream.opentelemetry.middleware", "TelemetryMiddleware.__init__", {"settings_provider_factory"}),
    ("faststream.opentelemetry.middleware", "TelemetryMiddleware.__call__", {"msg", "context"}),
    ("faststream.opentelemetry.middleware", "BaseTelemetryMiddleware.__init__", {"msg", "metrics_container"}),
    ("faststream.opentelemetry.middleware", "BaseTelemetryMiddleware.publish_scope", {"call_next", "msg"}),
    ("faststream.opentelemetry.middleware", "BaseTelemetryMiddleware.consume_scope", {"call_next", "msg"}),
    ("faststream.prometheus.middleware", "PrometheusMiddleware.__init__", {"settings_provider_factory", "registry"}),
    ("faststream.specification.schema.bindings.sqs", "ChannelBinding.__init__", {"queue", "bindingVersion"}),
    ("faststream.specification.asyncapi.utils", "resolve_payloads", {"payloads", "extra"}),
]

ADVICE = (
    "FastStream {version} has moved or changed `{module}.{path}`, which faststream_sqs needs. "
    "Either pin FastStream below this version, or adapt faststream_sqs and, for a method, the table in this file."
)


def imports() -> set[tuple[str, str]]:
    """Every name that the package imports from FastStream or FastDepends, with its module."""
    nodes = (node for source in PACKAGE.glob("*.py") for node in ast.walk(ast.parse(source.read_text())))
    return {
        (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None
        if node.module.split(".")[0] in {"faststream", "fast_depends"}
        for alias in node.names
    }


def require(module: str, path: str, parameters: set[str] | None) -> None:
    """Fail with a remedy if there is no such thing in the module, or if it does not take these parameters."""
    advice = ADVICE.format(version=version_of("faststream"), module=module, path=path)
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{advice} ({error})")
    if parameters is not None:
        missing = parameters - set(inspect.signature(found).parameters)
        if missing:
            pytest.fail(f"{advice} It no longer takes {sorted(missing)}.")


@pytest.mark.parametrize(("module", "name"), sorted(imports()))
def test_faststream_names_imported_by_this_package_exist(module: str, name: str) -> None:
    require(module, name, None)


@pytest.mark.parametrize(("module", "path", "parameters"), HOOKS, ids=[path for _, path, _ in HOOKS])
def test_faststream_hooks_used_by_broker_exist(module: str, path: str, parameters: set[str] | None) -> None:
    require(module, path, parameters)


def test_moved_or_changed_hook_is_named_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from faststream._internal.endpoint.subscriber import SubscriberUsecase

    module, path = "faststream._internal.endpoint.subscriber", "SubscriberUsecase.consume"
    monkeypatch.setattr(SubscriberUsecase, "consume", lambda self: None)
    with pytest.raises(pytest.fail.Exception, match=r"Either pin FastStream below .* no longer takes \['msg'\]"):
        require(module, path, {"msg"})
    monkeypatch.delattr(SubscriberUsecase, "consume")
    with pytest.raises(pytest.fail.Exception, match=r"moved or changed `faststream\..*\.SubscriberUsecase\.consume`"):
        require(module, path, None)
    with pytest.raises(pytest.fail.Exception, match="Either pin FastStream"):
        require("faststream._internal.nowhere", "Anything", None)
