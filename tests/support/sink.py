"""A receiver of webhooks: a real HTTP or HTTPS server, as told to answer, in this process or one of its own.

As a process (`python -m refold.tests.support.sink FILE`) it writes each message as a JSON line into FILE before it
answers, and its port as the first line.
"""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Taken:
    """A message as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message's id."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Whether one of the signatures is that of the secret, by the words of Standard Webhooks, not by our code."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = b".".join([self.id.encode(), self.headers["webhook-timestamp"].encode(), self.body])
        wanted = "v1," + base64.b64encode(hmac.new(key, content, sha256).digest()).decode()
        return wanted in self.headers["webhook-signature"].split(" ")


@dataclass
class Answer:
    """How a message is answered: status and headers, the body, whole or (`drip`) a byte each 20 ms for ever."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    drip: bool = False


@dataclass
class Sink:
    """A receiver: `taken` is what came in, `answers` what is answered, the last one for ever."""

    port: int = 0
    scheme: str = "http"
    taken: list[Taken] = field(default_factory=list[Taken])
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    tell: Callable[[Taken], None] = lambda _: None
    gone: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """A URL of the receiver."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    def answer(self, *answers: Answer | int) -> None:
        """Answer so from now on, the last for ever."""
        self.answers[:] = [each if isinstance(each, Answer) else Answer(each) for each in answers]

    def next(self) -> Answer:
        """The answer to the next message."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def sink(certificate: Path | None = None, host: str = "127.0.0.1") -> Iterator[Sink]:
    """A receiver in this process; with a file of certificate and key it speaks HTTPS."""
    made = Sink(scheme="http" if certificate is None else "https")
    server = _Server((host, 0), _handler(made))
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.gone.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: senders may refuse our certificate, or have enough of a slow answer."""


def _handler(made: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken = Taken(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            made.taken.append(taken)
            made.tell(taken)
            answer = made.next()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if not answer.drip:
                self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            while answer.drip and not made.gone.wait(0.02):
                self.wfile.write(b".")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def lines_of(file: Path) -> list[Taken]:
    """What a receiver in a process of its own has taken so far."""
    told = file.read_text().splitlines()[1:]
    parsed = (json.loads(line) for line in told if line.endswith("}"))
    return [Taken(each["path"], each["headers"], each["body"].encode()) for each in parsed]


def main(arguments: Sequence[str]) -> None:
    """Serve until killed."""
    with open(arguments[0], "w", buffering=1) as file, sink() as made:

        def tell(taken: Taken) -> None:
            line = {"path": taken.path, "headers": taken.headers, "body": taken.body.decode()}
            file.write(json.dumps(line) + "\n")

        made.tell = tell
        file.write(f"{made.port}\n")
        while True:
            time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1:])
