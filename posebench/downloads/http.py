"""One HTTP request: what may be asked, what counts as an answer, and what an error means.

urllib3 is the client, one request at a time: following redirects and trying again are decided
here, because only here is known what may be resumed and where a file may come from.
"""

from __future__ import annotations

import http.client
import re
import string
import threading
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from posebench.types.errors import UserError
from posebench.version import __version__

if TYPE_CHECKING:
    import urllib3

SCHEMES = ("http", "https")
# Answers that another try may change (RFC 9110 section 15, RFC 6585).
PASSING = (408, 425, 429, 500, 502, 503, 504)
PAGES = ("text/html", "application/xhtml+xml")
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<script")
TITLE = re.compile(rb"<title[^>]*>(.{0,200}?)</title>", re.IGNORECASE | re.DOTALL)
RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
LENGTH = re.compile(r"[0-9]{1,18}")
HEAD_BYTES = 4096
MOST_REDIRECTS = 10
RETRY_LATER = "Try again later, or download it by hand and pass it with --from FILE."


class RetryableError(Exception):
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
class RetryPolicy:
    """How patient a download is, and who may stop it.

    Attributes:
        timeout: Seconds of silence, also for connecting.
        retries: Further tries without progress before giving up.
        first_wait: Seconds before the second try; doubled for each further one.
        longest_wait: Bound of that, and of what a server may ask for.
        slowest: Bytes a second below which, over ``window``, a transfer counts as stalled.
        window: Seconds over which the rate is taken.
        most: Bytes that no published file exceeds.
        cancel: Set to stop; what was received so far is kept.
    """

    timeout: float = 30.0
    retries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    slowest: float = 1024.0
    window: float = 30.0
    most: int = 1 << 36
    cancel: threading.Event = field(default_factory=threading.Event, compare=False)


def request(
    url: str, headers: dict[str, str], timeout: float, method: str = "GET"
) -> urllib3.BaseHTTPResponse:
    """Send one request, follow its redirects and return the answer, of status 200 or 206.

    Args:
        url: ``http`` or ``https``.
        headers: Further ones.
        timeout: Seconds of silence.
        method: ``GET`` or ``HEAD``.

    Raises:
        RetryableError: Another try may help.
        UserError: It will not: no such file, no right, no web address.
    """
    check_url(url)
    common = {
        "User-Agent": f"posebench/{__version__}",
        # offsets and lengths must be those of the file
        "Accept-Encoding": "identity",
    }
    place = url
    for _ in range(MOST_REDIRECTS):
        answer = _send(place, common | headers, timeout, method)
        leads = answer.get_redirect_location()
        if not leads:
            break
        answer.close()
        place = _followed(place, leads)
    else:
        raise UserError(f"{url} redirects in vain, {MOST_REDIRECTS} times.", RETRY_LATER)
    try:
        _check_answer(url, answer)
    except BaseException:
        answer.close()
        raise
    return answer


def _send(
    url: str, headers: dict[str, str], timeout: float, method: str
) -> urllib3.BaseHTTPResponse:
    """Send a request as the machine's proxies want it; nothing is followed or tried again."""
    import urllib3

    pool = _pool(url)
    try:
        return pool.request(
            method,
            url,
            headers=headers,
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            enforce_content_length=False,  # how much is missing is said by who counts it
        )
    except (urllib3.exceptions.HTTPError, OSError, http.client.HTTPException, ValueError) as error:
        raise _unreached(url, error) from error


def _pool(url: str) -> urllib3.PoolManager:
    """Return what connects to an address, through the proxy of the machine if it has one.

    Raises:
        UserError: The proxy cannot be used.
    """
    import urllib3

    scheme, host, *_ = urlsplit(url)
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    if proxy is None:
        return urllib3.PoolManager()
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        name, password = unquote(parts.username or ""), unquote(parts.password or "")
        named = urllib3.make_headers(proxy_basic_auth=f"{name}:{password}" if name else None)
        return urllib3.ProxyManager(parts.geturl(), proxy_headers=named)
    except (urllib3.exceptions.HTTPError, ValueError):
        # without what it says: there may be a password in it
        raise UserError(
            f"The proxy of this machine for {scheme} cannot be used.",
            f"Set {scheme}_proxy to http://HOST:PORT, or no_proxy to {host}.",
        ) from None


def _followed(url: str, leads: str) -> str:
    """Return where a redirect leads, but never out of HTTP, nor from HTTPS back to plain HTTP."""
    # headers are read as Latin-1; what a URL cannot hold is encoded as it came
    place = urljoin(url, quote(leads, safe=string.punctuation, encoding="latin-1"))
    secure = urlsplit(url).scheme != "https" or urlsplit(place).scheme == "https"
    if not (secure and _is_web_address(place)):
        raise UserError(f"{url} leads to {place[:200]!r}, which is not as safe.", RETRY_LATER)
    return place


def _check_answer(url: str, answer: urllib3.BaseHTTPResponse) -> None:
    """Refuse whatever is not a file or a part of one.

    Raises:
        RetryableError: Another try may help.
        UserError: It will not.
    """
    said = f"the server answers {answer.status} {answer.reason or ''}".rstrip()
    if answer.status == 416:
        raise RetryableError("the server does not have the rest of the file", restart=True)
    if answer.status in PASSING:
        raise RetryableError(said, after=_wait_of(answer))
    if answer.status >= 300:
        raise UserError(
            f"{url} cannot be fetched: {said}.",
            "Look at the model's page for a new address, or pass the file with --from FILE.",
        )
    if answer.status not in (200, 206):
        raise RetryableError(said)
    if answer.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise UserError(f"{url} is sent packed, though the plain file was asked for.", RETRY_LATER)
    _check_framing(url, answer)


def check_url(url: str) -> None:
    """Refuse what is not a plain web address.

    Raises:
        UserError: It is not one.
    """
    if not _is_web_address(url):
        raise UserError(f"{url!r} is not a web address.", "Correct the location in the registry.")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return fine and url.isprintable() and url.isascii() and " " not in url


def reason_of(error: BaseException) -> str:
    """Say in a few words why a connection failed."""
    name, inner = type(error).__name__, _cause(error)
    if isinstance(inner, TimeoutError) or "Timeout" in name:
        return "the server is silent"
    if isinstance(inner, http.client.IncompleteRead):
        return "the connection ended early"
    text = " ".join(str(getattr(inner, "strerror", None) or inner).split())
    return text[:200] or name


def _cause(error: BaseException) -> BaseException:
    """Return the first error of a chain: urllib3 wraps or holds those of the connection."""
    while True:
        held = (one for one in error.args if isinstance(one, BaseException))
        inner = error.__cause__ or next(held, None)
        if inner is None:
            return error
        error = inner


def _unreached(url: str, error: Exception) -> Exception:
    import socket
    import ssl

    from urllib3.exceptions import InvalidHeader

    inner = _cause(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return UserError(
            f"The certificate of {urlsplit(url).hostname} is not valid: {inner.verify_message}.",
            "Check this machine's clock and certificates (SSL_CERT_FILE).",
        )
    if isinstance(error, InvalidHeader):
        return _contradiction(url, str(error))
    # without a network nobody wants to wait for every try
    absent = isinstance(inner, socket.gaierror | ConnectionRefusedError)
    return RetryableError(reason_of(error), weight=2 if absent else 1)


def _wait_of(answer: urllib3.BaseHTTPResponse) -> float:
    """Return the seconds that ``Retry-After`` asks for; dates count from the server's clock."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal() and len(text) < 9:
        return float(text)
    try:
        asked = parsedate_to_datetime(text) - parsedate_to_datetime(answer.headers.get("Date", ""))
    except (TypeError, ValueError, IndexError):
        return 0.0
    return max(0.0, asked.total_seconds())


def _check_framing(url: str, answer: urllib3.BaseHTTPResponse) -> None:
    """Refuse an answer whose headers do not agree on where its body ends.

    RFC 9112 section 6.3 calls such messages unrecoverable errors. The client itself refuses
    lengths that differ, but it ignores those that are not numbers.

    Raises:
        UserError: They do not agree.
    """
    lengths = _values(answer, "Content-Length")
    codings = _values(answer, "Transfer-Encoding")
    ranges = _values(answer, "Content-Range")
    part = RANGE.fullmatch(ranges[0]) if ranges else None
    problem = ""
    if any(not LENGTH.fullmatch(length) for length in lengths):
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
        raise _contradiction(url, problem)


def _contradiction(url: str, problem: str) -> UserError:
    return UserError(
        f"{url} is not received: the server contradicts itself, {problem[:200]}.", RETRY_LATER
    )


def _values(answer: urllib3.BaseHTTPResponse, name: str) -> list[str]:
    """Return the different values of a header, however often and in whatever lists it stands."""
    found = answer.headers.getlist(name)
    # a range has commas in no form that we ask for
    values = ",".join(found).split(",") if found else []
    return list(dict.fromkeys(value.strip().lower() for value in values))


def length_of(answer: urllib3.BaseHTTPResponse) -> int | None:
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
