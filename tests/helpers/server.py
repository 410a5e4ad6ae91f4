"""A local HTTP server that misbehaves on request."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """How one request is answered.

    Attributes:
        body: The whole file.
        status: 200 becomes 206 for a range.
        drop: Close the connection after so many bytes of this answer.
        claim: ``Content-Length`` to announce instead of the true one; -1 for none at all.
        chunked: Send in chunks, without a length.
        delay: Seconds between pieces of ``piece`` bytes.
        silent: Seconds to say nothing before the body.
        etag: ``None`` for one made of the content, "" for none.
        ranges: Honour ``Range``.
        if_range: Honour ``If-Range``; without, a range is sent whatever the content.
        shift: Begin a range so many bytes off.
        headers: Further ones.
    """

    body: bytes = b""
    status: int = 200
    drop: int | None = None
    claim: int | None = None
    chunked: bool = False
    delay: float = 0.0
    piece: int = 1 << 14
    silent: float = 0.0
    etag: str | None = None
    ranges: bool = True
    if_range: bool = True
    shift: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        if self.etag is not None:
            return self.etag
        return f'"{hashlib.md5(self.body).hexdigest()}"'


def page(title: str, status: int = 200, kind: str = "text/html; charset=utf-8") -> Answer:
    """A web page where a file should be."""
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head></html>".encode()
    return Answer(body, status=status, headers={"Content-Type": kind})


def redirect(to: str) -> Answer:
    return Answer(status=302, headers={"Location": to})


class Server:
    """Answers by path: a list is used up one by one, its last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.sent = 0
        self.when_sent: Callable[[], None] | None = None  # called after each piece
        self._mutex = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def forget(self) -> None:
        """Begin anew: no answers, and nothing was asked or sent."""
        self.answers.clear()
        self.requests.clear()
        self.sent = 0
        self.when_sent = None

    def put(self, path: str, *answers: Answer | bytes) -> str:
        """Set what a path answers and return its address."""
        made = [Answer(one) if isinstance(one, bytes) else one for one in answers]
        self.answers[path] = made
        return self.address + path

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the headers of every GET of a path."""
        return [headers for method, at, headers in self.requests if (method, at) == ("GET", path)]

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self._mutex:
            self.requests.append((handler.command, handler.path, dict(handler.headers.items())))
            left = self.answers.get(handler.path)
            if not left:
                answer = page("Not Found", 404)
            else:
                answer = left.pop(0) if len(left) > 1 and handler.command == "GET" else left[0]
        handler.close_connection = True
        start, status = _range(handler, answer)
        body = answer.body[start + answer.shift if start else 0 :]
        handler.send_response(status)
        if status == 206:
            last = start + answer.shift + len(body) - 1
            handler.send_header(
                "Content-Range", f"bytes {start + answer.shift}-{last}/{len(answer.body)}"
            )
        if answer.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif answer.claim != -1:
            handler.send_header("Content-Length", str(answer.claim or len(body)))
        if answer.tag:
            handler.send_header("ETag", answer.tag)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.end_headers()
        if handler.command == "GET":
            time.sleep(answer.silent)
            self._send(handler, answer, body)

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer, body: bytes) -> None:
        most = len(body) if answer.drop is None else answer.drop
        try:
            for at in range(0, min(most, len(body)), answer.piece):
                piece = body[at : min(at + answer.piece, most)]
                with self._mutex:
                    # before it is sent: the test may look as soon as the client has it
                    self.sent += len(piece)
                if answer.chunked:
                    handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                else:
                    handler.wfile.write(piece)
                if self.when_sent is not None:
                    handler.wfile.flush()
                    self.when_sent()
                if answer.delay:
                    handler.wfile.flush()
                    time.sleep(answer.delay)
            if answer.chunked and answer.drop is None:
                handler.wfile.write(b"0\r\n\r\n")
            handler.wfile.flush()
            if answer.drop is not None:
                handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client has gone


def _range(handler: BaseHTTPRequestHandler, answer: Answer) -> tuple[int, int]:
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
    if asked is None or not answer.ranges or answer.status != 200:
        return 0, answer.status
    condition = handler.headers.get("If-Range")
    if answer.if_range and condition is not None and condition != answer.tag:
        return 0, answer.status
    start = int(asked[1])
    return (start, 206) if start < len(answer.body) else (0, 416)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.stop()
