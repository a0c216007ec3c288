"""Another host for tests: a network namespace at the end of a virtual cable, with a packet filter
and a rate of its own. Takes root, and Debian's iproute2 and iptables."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path


def run(*command: str) -> None:
    """Runs one command, which must succeed."""
    subprocess.run(command, check=True, capture_output=True)


class FarHost:
    """Up from the start; `address` is the far end's, `inside` runs a command there."""

    def __init__(self) -> None:
        # By chance, not by process: lanes of a run count their processes each from 1, and the
        # kernel takes a namespace and its cable away after `remove`, not in it.
        tag = f"cw{secrets.token_hex(4)}"
        self.name, self.ours, theirs = f"{tag}ns", f"{tag}a", f"{tag}b"
        block = f"10.{128 + secrets.randbelow(126)}.{secrets.randbelow(256)}"
        self.address = f"{block}.2"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.ours, "type", "veth", "peer", "name", theirs)
        run("ip", "link", "set", theirs, "netns", self.name)
        run("ip", "address", "add", f"{block}.1/30", "dev", self.ours)
        run("ip", "link", "set", self.ours, "up")
        self.inside = ("ip", "netns", "exec", self.name)
        run(*self.inside, "ip", "address", "add", f"{self.address}/30", "dev", theirs)
        run(*self.inside, "ip", "link", "set", theirs, "up")
        run(*self.inside, "ip", "link", "set", "lo", "up")

    def slow_down(self, rate: str) -> None:
        """Lets no more than `rate` (as tc(8) reads it, `1gbit`) pass from here to there."""
        words = ("rate", rate, "burst", "256k", "latency", "50ms")
        run("tc", "qdisc", "add", "dev", self.ours, "root", "tbf", *words)

    def sent(self) -> int:
        """Bytes that have gone from here to there, with the frames around them."""
        return int(Path(f"/sys/class/net/{self.ours}/statistics/tx_bytes").read_text())

    @contextlib.contextmanager
    def rule(self, *words: str) -> Iterator[None]:
        """A packet filter on the far host."""
        run(*self.inside, "iptables", "-I", "INPUT", "-p", "tcp", *words)
        try:
            yield
        finally:
            run(*self.inside, "iptables", "-D", "INPUT", "-p", "tcp", *words)

    def remove(self) -> None:
        """Takes it away; what still runs there has to be ended before."""
        run("ip", "link", "del", self.ours)
        run("ip", "netns", "del", self.name)
