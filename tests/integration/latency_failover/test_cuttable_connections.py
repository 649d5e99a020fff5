"""A boto3 call blocked in a thread is ended from outside, over TLS as in production, wherever it can block."""

from __future__ import annotations

import contextvars
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, HTTPClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from urllib3.exceptions import HTTPError

from latency_failover.bedrock import make_client_cuttable
from latency_failover.connections import AttemptConnections, current_connections

pytestmark = pytest.mark.integration

HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n"
ANSWER = b'{"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "end_turn"}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
CALL: dict[str, Any] = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "hello"}]}]}
PROMPTLY_S = 3


class Server:
    """Accepts, reads one request per turn, sends the given bytes, and then stays silent."""

    def __init__(self, context: ssl.SSLContext, *, handshake: bool = True) -> None:
        self.asked = threading.Event()
        self.sends = [b""]
        self._context = context
        self._handshake = handshake
        self._open = ExitStack()
        self._listener = self._open.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._open.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self._open.enter_context(plain)
            if self._handshake:
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()
            else:
                self.asked.set()

    def _serve(self, plain: socket.socket) -> None:
        with self._context.wrap_socket(plain, server_side=True) as connection:
            while True:
                try:
                    request = connection.recv(65_536)
                except OSError:
                    return
                if not request:
                    return
                if b"hello" not in request:  # the body comes in a record of its own
                    request += connection.recv(65_536)
                connection.sendall(self.sends.pop(0) if self.sends else b"")
                self.asked.set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def serve(certificate: Path) -> Iterator[Callable[..., Server]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ExitStack() as servers:

        def start(**options: bool) -> Server:
            server = Server(context, **options)
            servers.callback(server.close)
            return server

        yield start


@pytest.fixture
def connect(certificate: Path) -> Iterator[Callable[[Server], Any]]:
    with ExitStack() as clients:

        def client(server: Server) -> Any:
            made = boto3.client(
                "bedrock-runtime",
                endpoint_url=f"https://127.0.0.1:{server.port}",
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
                verify=str(certificate),
                config=Config(retries={"total_max_attempts": 1}, read_timeout=60, connect_timeout=60),
            )
            clients.callback(made.close)
            make_client_cuttable(made)
            return made

        yield client


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def running_for(wire: AttemptConnections, pool: ThreadPoolExecutor, call: Callable[[], object]) -> Future[object]:
    """Run a blocking call on a thread, as the attempt that owns the wire does."""
    context = contextvars.copy_context()
    context.run(current_connections.set, wire)
    return pool.submit(context.run, call)


def test_call_waiting_for_headers_is_cut(
    serve: Callable[..., Server], connect: Callable[[Server], Any], threads: ThreadPoolExecutor
) -> None:
    server, wire = serve(), AttemptConnections(limit_s=60)
    client = connect(server)
    call = running_for(wire, threads, lambda: client.converse(**CALL))
    assert server.asked.wait(PROMPTLY_S)
    wire.cut()
    assert isinstance(call.exception(PROMPTLY_S), BotoCoreError)


def test_stalled_stream_is_cut(
    serve: Callable[..., Server], connect: Callable[[Server], Any], threads: ThreadPoolExecutor
) -> None:
    server, wire, opened = serve(), AttemptConnections(limit_s=60), threading.Event()
    server.sends = [HEADERS]
    client = connect(server)

    def read() -> None:
        stream = client.converse_stream(**CALL)["stream"]
        opened.set()
        for _ in stream:
            raise AssertionError("nothing is ever sent")

    call = running_for(wire, threads, read)
    assert opened.wait(PROMPTLY_S)
    wire.cut()
    assert isinstance(call.exception(PROMPTLY_S), HTTPError | None)


def test_call_abandoned_before_sending_is_not_sent(
    serve: Callable[..., Server], connect: Callable[[Server], Any], threads: ThreadPoolExecutor
) -> None:
    server, wire = serve(), AttemptConnections(limit_s=60)
    client = connect(server)
    wire.cut()
    call = running_for(wire, threads, lambda: client.converse(**CALL))
    assert isinstance(call.exception(PROMPTLY_S), HTTPClientError)
    assert not server.asked.is_set()


class CutWhileConnecting(AttemptConnections):
    """Cut at the only moment at which there is nothing to shut down: registered, and no socket yet."""

    def attach(self, cut: Callable[[], None]) -> None:
        super().attach(cut)
        self.cut()


def test_call_abandoned_while_connecting_is_not_sent(threads: ThreadPoolExecutor) -> None:
    wire = CutWhileConnecting(limit_s=60)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PROMPTLY_S)
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60, connect_timeout=60),
        )
        make_client_cuttable(client)
        call = running_for(wire, threads, lambda: client.converse(**CALL))
        accepted, _ = listener.accept()
        with accepted:
            assert isinstance(call.exception(PROMPTLY_S), HTTPClientError)
            client.close()
            accepted.settimeout(PROMPTLY_S)
            assert accepted.recv(1) == b""


@pytest.mark.parametrize("handshake", [True, False], ids=["headers", "handshake"])
def test_call_ends_at_its_attempts_limit_without_a_cut(
    serve: Callable[..., Server], connect: Callable[[Server], Any], threads: ThreadPoolExecutor, handshake: bool
) -> None:
    server, wire = serve(handshake=handshake), AttemptConnections(limit_s=0.5)
    client = connect(server)
    call = running_for(wire, threads, lambda: client.converse(**CALL))
    assert isinstance(call.exception(PROMPTLY_S), BotoCoreError)
    assert server.asked.is_set()


def test_pooled_connection_is_not_cut_by_its_former_attempt(
    serve: Callable[..., Server], connect: Callable[[Server], Any], threads: ThreadPoolExecutor
) -> None:
    server, before, now = serve(), AttemptConnections(limit_s=60), AttemptConnections(limit_s=60)
    server.sends = [WHOLE]
    client = connect(server)
    assert running_for(before, threads, lambda: client.converse(**CALL)).exception(PROMPTLY_S) is None
    server.asked.clear()
    call = running_for(now, threads, lambda: client.converse(**CALL))
    assert server.asked.wait(PROMPTLY_S)
    before.cut()
    with pytest.raises(TimeoutError):
        call.exception(0.2)
    now.cut()
    assert isinstance(call.exception(PROMPTLY_S), BotoCoreError)


def test_call_outside_an_attempt_works_unchanged(
    serve: Callable[..., Server], connect: Callable[[Server], Any]
) -> None:
    server = serve()
    server.sends = [WHOLE]
    assert connect(server).converse(**CALL)["stopReason"] == "end_turn"
