"""Ask the process in this container whether it is ready, or what else is named by a path (`/health/started`). Imports
little, because Docker and ECS run it every few seconds."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["SWITCHYARD_HEALTH_PORT"]), timeout=3)
try:
    path = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SWITCHYARD_HEALTH_PATH", "/health/ready")
    connection.request("GET", path)
    answer = connection.getresponse()
    sys.stdout.write(answer.read(2_000).decode(errors="replace"))
    sys.exit(answer.status != http.client.OK)
except OSError as error:
    sys.exit(f"no answer: {error}")
