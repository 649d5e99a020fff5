"""Ask the process in this container whether it is ready. Imports little, because Docker runs it every few seconds."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["SWITCHYARD_HEALTH_PORT"]), timeout=3)
try:
    connection.request("GET", os.environ.get("SWITCHYARD_HEALTH_PATH", "/health/ready"))
    answer = connection.getresponse()
    sys.stdout.write(answer.read(2_000).decode(errors="replace"))
    sys.exit(answer.status != http.client.OK)
except OSError as error:
    sys.exit(f"no answer: {error}")
