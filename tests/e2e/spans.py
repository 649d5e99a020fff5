"""Takes the spans and metrics of the stack's processes and keeps them as they came, to be searched and read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans


@contextmanager
def kept_spans(file: Path) -> Iterator[str]:
    """An OTLP endpoint over HTTP, as long as this is entered; the file has what it was sent."""
    lock = threading.Lock()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock, file.open("ab") as kept:
                kept.write(f"{self.path} {len(body)}\n".encode() + body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing: the test's output is not the place."""

    file.parent.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="spans", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read_received(file: Path) -> tuple[list[ResourceSpans], list[ResourceMetrics]]:
    """What a receiver was sent, as OTLP's own messages."""
    spans: list[ResourceSpans] = []
    metrics: list[ResourceMetrics] = []
    kept = BytesIO(file.read_bytes() if file.exists() else b"")
    while line := kept.readline():
        path, size = line.split()
        body = kept.read(int(size))
        if path == b"/v1/traces":
            spans += ExportTraceServiceRequest.FromString(body).resource_spans
        else:
            metrics += ExportMetricsServiceRequest.FromString(body).resource_metrics
    return spans, metrics
