"""ministack, the emulator of SQS, EventBridge, S3 and the rest of AWS, as a process of ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping

from switchyard.devstack.stack.home import Home
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ProcessSpec, http_probe

EMULATOR_REGION = "us-east-1"
EMULATOR_ACCESS_KEY = "local"


def emulator_process(
    home: Home, port: int, env: Mapping[str, str], on_restart: Callable[[], Awaitable[None]]
) -> ProcessSpec:
    """The emulator's process. It keeps its state in memory and saves it when it is stopped, so a restart after kill -9
    begins with what the last stop had saved: `on_restart` must provision it again."""
    folder = home.folder / "emulator"
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    return ProcessSpec(
        name="emulator",
        argv=(sys.executable, "-m", "ministack"),
        env={
            **env,
            "BIND_HOST": LOOPBACK,
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": LOOPBACK,  # queue URLs name it
            "MINISTACK_REGION": EMULATOR_REGION,
            "IOT_MTLS_ENABLED": "0",  # its MQTT listener would open a second port
            "DOCKER_HOST": f"unix://{folder}/no-docker",  # it removes its containers from any Docker that it finds
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "s3"),
            "TMPDIR": str(folder / "tmp"),
        },
        probe=http_probe(port, "/_ministack/ready"),
        port=port,
        on_restart=on_restart,
    )


def sdk_environment(endpoint: str) -> dict[str, str]:
    """What makes the AWS SDKs talk to the emulator, and to nothing else: the user's own profiles are out of reach."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": EMULATOR_REGION,
        "AWS_DEFAULT_REGION": EMULATOR_REGION,
        "AWS_ACCESS_KEY_ID": EMULATOR_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": EMULATOR_ACCESS_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
