"""Each cause of a failure of Docker has a remedy of its own (H11); the words are Docker's."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import docker_causes

# As docker 20.10, 24 and 27, Compose 2.3 to 2.29 and the SDK print them.
REPORTED = {
    "staging_restore_postgres_image": [
        "Error response from daemon: pull access denied for bistro-db, repository does not exist or"
        " may require 'docker login'",
        'Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup'
        " registry-1.docker.io on 127.0.0.53:53: no such host",
        "manifest for postgres:99-alpine not found: manifest unknown: manifest unknown",
        "Error: No such image: postgres:16-alpine",
        'failed to resolve reference "docker.io/library/haproxy:2": failed to do request',
        "toomanyrequests: You have reached your pull rate limit.",
    ],
    "staging_restore_backend_build": [
        'unable to prepare context: path "/root/restaurante/backend" not found',
        "resolve : lstat /root/restaurante/backend: no such file or directory",
        "failed to solve: failed to read dockerfile: open Dockerfile: no such file or directory",
        "ERROR: build path /srv/app either does not exist, is not accessible: path /srv/app does"
        " not exist",
    ],
    "docker system df": [
        "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
        "failed to solve: failed to copy: write /x: No space left on device",
    ],
    "staging_restore_postgres_port": [
        "Bind for 127.0.0.1:5433 failed: port is already allocated",
        "listen tcp4 127.0.0.1:3001: bind: address already in use",
    ],
    "systemctl start docker": [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon"
        " running?",
        "Error while fetching server API version: ('Connection aborted.', FileNotFoundError(2))",
    ],
    "run this as root": [
        "permission denied while trying to connect to the Docker daemon socket at"
        " unix:///var/run/docker.sock",
    ],
    "cannot be built": [
        'failed to solve: process "/bin/sh -c npm ci" did not complete successfully: exit code: 1',
        "The command '/bin/sh -c npm ci' returned a non-zero code: 1",
    ],
    "docker network prune": [
        "could not find an available, non-overlapping IPv4 address pool among the defaults",
    ],
    "staging_restore_memory": ["fork/exec /proc/self/exe: cannot allocate memory"],
    "look whether the Docker engine runs": ["something that nobody has seen yet"],
}


@pytest.mark.parametrize(
    ("helps", "reported"),
    [(helps, text) for helps, texts in REPORTED.items() for text in texts],
)
def test_what_helps_is_named(helps: str, reported: str) -> None:
    assert helps in str(docker_causes.remedy(reported))
