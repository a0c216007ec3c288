"""A mail server on this machine that keeps the mails it gets."""

from __future__ import annotations

import contextlib
import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from email.message import EmailMessage


class MailReceiver:
    """A mail server with as much of SMTP (RFC 5321) as a client needs to send a mail.

    Attributes:
        mails: the mails that arrived, in order.
        port: its port on 127.0.0.1.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        receiver = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.reply("220 ready")
                while command := self.rfile.readline().split():
                    if command[0].upper() == b"DATA":
                        self.reply("354 go on")
                        receiver.mails.append(self.mail())
                    self.reply("221 bye" if command[0].upper() == b"QUIT" else "250 ok")

            def reply(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

            def mail(self) -> EmailMessage:
                raw = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    raw += line.removeprefix(b".")
                made = email.message_from_bytes(raw, policy=email.policy.default)
                assert isinstance(made, EmailMessage)
                return made

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    @property
    def address(self) -> str:
        """Its address as an Apprise URL."""
        return (
            f"mailto://127.0.0.1:{self.port}/?from=monitor@example.com&to=ops@example.com"
            "&mode=insecure"
        )


@contextlib.contextmanager
def receiving_mail() -> Iterator[MailReceiver]:
    """A mail server that listens for as long as the block lasts."""
    made = MailReceiver()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
