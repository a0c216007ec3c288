"""Another host: a network namespace behind a virtual cable, with a packet filter and a rate limit.

Needs root, and Debian's iproute2 and iptables.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from support.filesystems import run


class RemoteHost:
    """A host that is reachable as soon as it is constructed.

    Attributes:
        address: its IPv4 address.
        inside: the words to put before a command so that it runs there.
        near_interface: this side's end of the cable.
    """

    def __init__(self) -> None:
        # Random names: the lanes of a run count their processes each from 1, and the kernel removes
        # a namespace and its cable some time after `remove`.
        tag = f"cw{secrets.token_hex(4)}"
        far_interface = f"{tag}b"
        self.name, self.near_interface = f"{tag}ns", f"{tag}a"
        block = f"10.{128 + secrets.randbelow(126)}.{secrets.randbelow(256)}"
        self.address = f"{block}.2"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.near_interface, "type", "veth", "peer", "name", far_interface)
        run("ip", "link", "set", far_interface, "netns", self.name)
        run("ip", "address", "add", f"{block}.1/30", "dev", self.near_interface)
        run("ip", "link", "set", self.near_interface, "up")
        self.inside = ("ip", "netns", "exec", self.name)
        run(*self.inside, "ip", "address", "add", f"{self.address}/30", "dev", far_interface)
        run(*self.inside, "ip", "link", "set", far_interface, "up")
        run(*self.inside, "ip", "link", "set", "lo", "up")

    def slow_down(self, rate: str) -> None:
        """Limit what passes from here to there to `rate`, as tc(8) reads it: `1gbit`."""
        limit = ("rate", rate, "burst", "256k", "latency", "50ms")
        run("tc", "qdisc", "add", "dev", self.near_interface, "root", "tbf", *limit)

    def sent(self) -> int:
        """Bytes that have gone from here to there, with the frames around them."""
        return int(Path(f"/sys/class/net/{self.near_interface}/statistics/tx_bytes").read_text())

    @contextlib.contextmanager
    def rule(self, *words: str) -> Iterator[None]:
        """A packet filter rule for TCP that arrives there, for as long as the block lasts."""
        run(*self.inside, "iptables", "-I", "INPUT", "-p", "tcp", *words)
        try:
            yield
        finally:
            run(*self.inside, "iptables", "-D", "INPUT", "-p", "tcp", *words)

    def remove(self) -> None:
        """Remove the host; processes that still run there have to be ended before."""
        run("ip", "link", "del", self.near_interface)
        run("ip", "netns", "del", self.name)
