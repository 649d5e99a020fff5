"""A service for the tests: answers its health check, and misbehaves on request.

    python -I -S toy_service.py [never] [crash] [stubborn] [offspring] [drain]

never: runs, and never becomes ready; crash: ends at once with status 3; stubborn: ignores SIGTERM; offspring: starts a
process in a session of its own, which outlives it unless somebody sees to it; drain: writes TOY_FILE before it ends,
and has to reach TOY_DATABASE for that.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

modes = set(sys.argv[1:])
print("toy: starting", flush=True)
if "crash" in modes:
    print("toy: the setting COLOUR is missing", file=sys.stderr, flush=True)
    sys.exit(3)
if "stubborn" in modes:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "offspring" in modes and os.fork() == 0:
    os.setsid()
    while True:
        signal.pause()


def drain(*_: object) -> None:
    database = urlsplit(os.environ["TOY_DATABASE"])
    with socket.create_connection((database.hostname, database.port)):
        Path(os.environ["TOY_FILE"]).write_text("drained", encoding="utf-8")
    sys.exit(0)


if "drain" in modes:
    signal.signal(signal.SIGTERM, drain)
with socket.create_server(("127.0.0.1", int(os.environ["SWITCHYARD_HEALTH_PORT"]))) as server:
    status = "503 Service Unavailable" if "never" in modes else "200 OK"
    body = "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))
    while True:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}".encode())
