"""One HTTP request: what may be asked, what counts as an answer, and what an error means.

The standard library's client is enough: it knows proxies, redirects and certificates, a fetch
over plain HTTPS then needs no further package, and what is hard here (resuming, content that
changes, honest lengths) no client does by itself.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from posebench import __version__
from posebench.types.errors import UserError

SCHEMES = ("http", "https")
# Answers that another try may change (RFC 9110 section 15, RFC 6585).
PASSING = (408, 425, 429, 500, 502, 503, 504)
PAGES = ("text/html", "application/xhtml+xml")
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<script")
TITLE = re.compile(rb"<title[^>]*>(.{0,200}?)</title>", re.IGNORECASE | re.DOTALL)
RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
LENGTH = re.compile(r"[0-9]{1,18}")
HEAD_BYTES = 4096
RETRY_LATER = "Try again later, or download it by hand and pass it with --from FILE."


class Broken(Exception):
    """A transfer that another try may complete.

    Args:
        message: What happened.
        after: Seconds the server asked to wait, 0 if it did not say.
        restart: Whether what was received before is of no use.
        weight: As how many tries it counts.
    """

    def __init__(
        self, message: str, after: float = 0.0, *, restart: bool = False, weight: int = 1
    ) -> None:
        super().__init__(message)
        self.after = after
        self.restart = restart
        self.weight = weight


@dataclass(frozen=True)
class Policy:
    """How patient a download is.

    Attributes:
        timeout: Seconds of silence, also for connecting.
        retries: Further tries without progress before giving up.
        first_wait: Seconds before the second try; doubled for each further one.
        longest_wait: Bound of that, and of what a server may ask for.
        slowest: Bytes a second below which, over ``window``, a transfer counts as stalled.
        window: Seconds over which the rate is taken.
        most: Bytes that no published file exceeds.
    """

    timeout: float = 30.0
    retries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    slowest: float = 1024.0
    window: float = 30.0
    most: int = 1 << 36


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never out of HTTP, nor from HTTPS back to plain HTTP."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in SCHEMES or (old == "https" and new != "https"):
            raise UserError(
                f"{req.full_url} leads to {newurl[:200]}, which is not as safe.", RETRY_LATER
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return a client for HTTP and HTTPS alone; the default one also opens ftp: and file:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        _Redirects,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def request(
    url: str, headers: dict[str, str], timeout: float, method: str = "GET"
) -> http.client.HTTPResponse:
    """Send one request and return its answer, of status 200 or 206.

    Args:
        url: ``http`` or ``https``.
        headers: Further ones.
        timeout: Seconds of silence.
        method: ``GET`` or ``HEAD``.

    Raises:
        Broken: Another try may help.
        UserError: It will not: no such file, no right, no web address.
    """
    check_url(url)
    common = {
        "User-Agent": f"posebench/{__version__}",
        # offsets and lengths must be those of the file
        "Accept-Encoding": "identity",
    }
    asked = urllib.request.Request(url, headers=common | headers, method=method)
    try:
        answer: http.client.HTTPResponse = _opener().open(asked, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreached(url, error) from error
    if answer.status not in (200, 206):
        answer.close()
        raise Broken(f"the server answers {answer.status} {answer.reason}")
    if answer.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        answer.close()
        raise UserError(f"{url} is sent packed, though the plain file was asked for.", RETRY_LATER)
    try:
        _check_framing(url, answer)
    except UserError:
        answer.close()
        raise
    return answer


def check_url(url: str) -> None:
    """Refuse what is no plain web address.

    Raises:
        UserError: It is none.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in SCHEMES and bool(parts.hostname) and url.isprintable()
        fine = fine and url.isascii() and " " not in url and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise UserError(f"{url!r} is no web address.", "Correct the location in the registry.")


def reason_of(error: BaseException) -> str:
    """Say in a few words why a connection failed."""
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return "the server is silent"
    if isinstance(inner, http.client.IncompleteRead):
        return "the connection ended early"
    text = " ".join(str(getattr(inner, "strerror", None) or inner).split())
    return text[:200] or type(inner).__name__


def _unreached(url: str, error: Exception) -> Exception:
    inner = getattr(error, "reason", error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return UserError(
            f"The certificate of {urlsplit(url).hostname} is not valid: {inner.verify_message}.",
            "Check this machine's clock and certificates (SSL_CERT_FILE).",
        )
    # without a network nobody wants to wait for every try
    absent = isinstance(inner, socket.gaierror | ConnectionRefusedError)
    return Broken(reason_of(error), weight=2 if absent else 1)


def _refused(url: str, error: urllib.error.HTTPError) -> Exception:
    words = f"{error.code} {error.reason}".strip()
    if error.code == 416:
        return Broken("the server does not have the rest of the file", restart=True)
    if error.code in PASSING:
        return Broken(f"the server answers {words}", after=_wait_of(error.headers))
    if 300 <= error.code < 400:
        return UserError(
            f"{url} redirects in vain: {error.reason}.".replace("\n", " "), RETRY_LATER
        )
    return UserError(
        f"{url} cannot be fetched: the server answers {words}.",
        "Look at the model's page for a new address, or pass the file with --from FILE.",
    )


def _wait_of(headers: Any) -> float:
    """Return the seconds that ``Retry-After`` asks for; dates count from the server's clock."""
    text = (headers.get("Retry-After") or "").strip()
    if text.isdecimal() and len(text) < 9:
        return float(text)
    try:
        asked = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date") or "")
    except (TypeError, ValueError, IndexError):
        return 0.0
    return max(0.0, asked.total_seconds())


def _check_framing(url: str, answer: http.client.HTTPResponse) -> None:
    """Refuse an answer whose headers do not agree on where its body ends.

    The client takes the first of several lengths in silence, and ignores those that are no
    numbers (RFC 9112 section 6.3 calls such messages unrecoverable errors).

    Raises:
        UserError: They do not agree.
    """
    lengths = _values(answer, "Content-Length")
    codings = _values(answer, "Transfer-Encoding")
    ranges = _values(answer, "Content-Range")
    part = RANGE.fullmatch(ranges[0]) if ranges else None
    problem = ""
    if len(lengths) > 1 or any(not LENGTH.fullmatch(length) for length in lengths):
        problem = f"Content-Length is {' and '.join(lengths)[:100]!r}"
    elif lengths and codings:
        problem = "it has both a Content-Length and a Transfer-Encoding"
    elif codings not in ([], ["chunked"]):
        problem = f"Transfer-Encoding is {', '.join(codings)[:100]!r}"
    elif len(ranges) > 1:
        problem = f"Content-Range is {' and '.join(ranges)[:100]!r}"
    elif answer.status == 206 and part and lengths:
        count = int(part[2]) - int(part[1]) + 1
        if count != int(lengths[0]):
            problem = f"Content-Range is of {count} bytes and Content-Length {lengths[0]}"
    if problem:
        raise UserError(
            f"{url} is not received: the server contradicts itself, {problem}.", RETRY_LATER
        )


def _values(answer: http.client.HTTPResponse, name: str) -> list[str]:
    """Return the different values of a header, however often and in whatever lists it stands."""
    found = answer.headers.get_all(name)
    # a range has commas in no form that we ask for
    values = ",".join(found).split(",") if found else []
    return list(dict.fromkeys(value.strip().lower() for value in values))


def length_of(answer: http.client.HTTPResponse) -> int | None:
    """Return the announced bytes of an answer's body, None where there is no such number."""
    lengths = _values(answer, "Content-Length")
    return int(lengths[0]) if lengths else None


def refuse_page(url: str, content_type: str, head: bytes) -> None:
    """Refuse a web page: what file hosts send for quotas, sign-ins and missing files.

    Args:
        url: Asked for.
        content_type: Of the answer, empty if not known.
        head: Its first bytes.

    Raises:
        UserError: It is a page; the sentence repeats the page's title.
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in PAGES and not text.startswith(PAGE_STARTS):
        return
    found = TITLE.search(head)
    words = " ".join(found[1].decode("utf-8", "replace").split()) if found else ""
    title = f" ({''.join(c for c in words if c.isprintable())[:100]})" if words else ""
    raise UserError(f"{url} gives a web page{title} instead of the file.", RETRY_LATER)
