"""A file over HTTP that arrives whole: resumed after a break, begun anew when it has changed."""

from __future__ import annotations

import http.client
import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from posebench.downloads.files import (
    Cancelled,
    check_cancelled,
    unwritable,
    write_whole,
)
from posebench.downloads.http import (
    HEAD_BYTES,
    RANGE,
    RETRY_LATER,
    RetryableError,
    RetryPolicy,
    length_of,
    reason_of,
    refuse_page,
    request,
)
from posebench.types.errors import UserError

if TYPE_CHECKING:
    import urllib3

Progress = Callable[[int, "int | None"], None]
BLOCK = 1 << 18
# So much more than ever before makes a try count as progress.
STEP = 1 << 20


@dataclass(frozen=True)
class Version:
    """Which content a half-received file is the beginning of.

    Attributes:
        url: Asked for.
        validator: A strong ``ETag``, else ``Last-Modified``; empty where the server gives neither,
            and then nothing is ever resumed.
        total: Bytes of the whole file, None where the server does not say.
    """

    url: str
    validator: str
    total: int | None


def download(
    url: str,
    target: Path,
    policy: RetryPolicy,
    *,
    size: int | None = None,
    progress: Progress | None = None,
) -> bool:
    """Receive a file; what an earlier call left half-received is continued.

    ``target`` is written in place and is whole only after this returns; beside it,
    ``<target>.json`` says which content it is the beginning of. Only one process may do this at
    a time (see ``cache_files.locked``).

    Args:
        url: ``http`` or ``https``.
        target: Where the bytes go.
        policy: How patient to be.
        size: Bytes the file must have, where known.
        progress: Called with (bytes so far, bytes in all or None).

    Returns:
        Whether the file was put together from several answers.

    Raises:
        Cancelled: The policy's ``cancel`` was set; what was received stays.
        UserError: The file cannot be had, or cannot be written.
    """
    transfer = _Transfer(url, target, policy, size, progress)
    best = failures = 0
    while True:
        check_cancelled(policy.cancel)
        try:
            transfer.attempt()
            return transfer.answers > 1
        except RetryableError as error:
            reached = transfer.received()
            if error.restart:
                transfer.forget()
            if reached >= best + STEP:
                best, failures = reached, 0
            failures += error.weight
            if failures > policy.retries:
                raise UserError(
                    f"{url} cannot be fetched: {error}, time and again.", RETRY_LATER
                ) from error
            wait = policy.first_wait * 2.0 ** (failures - 1) * random.uniform(0.5, 1.5)
            if policy.cancel.wait(min(max(wait, error.after), policy.longest_wait)):
                raise Cancelled from error
        except OSError as error:
            raise unwritable(target, error) from error


def remote_size(url: str, timeout: float = 10.0) -> int | None:
    """Return the bytes that a server announces for a file, None where it does not."""
    try:
        with request(url, {}, timeout, method="HEAD") as answer:
            return length_of(answer)
    except (RetryableError, UserError):
        return None


@dataclass
class _Transfer:
    """One file on its way."""

    url: str
    target: Path
    policy: RetryPolicy
    size: int | None
    progress: Progress | None
    # that the bytes on disk came from; those of an earlier call count as one
    answers: int = 0

    @property
    def notes(self) -> Path:
        return self.target.with_name(f"{self.target.name}.json")

    def received(self) -> int:
        """Return the bytes on disk."""
        try:
            return self.target.stat().st_size
        except FileNotFoundError:
            return 0

    def forget(self) -> None:
        """Drop what was received."""
        self.target.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)
        self.answers = 0

    def attempt(self) -> None:
        """Ask once for what is missing and write it down.

        Raises:
            RetryableError: Something is still missing.
            UserError: It cannot be had.
            OSError: It cannot be written.
        """
        version, have = self._begun()
        if version is not None and have and have == version.total:
            return
        headers = {}
        if version is not None and have:
            headers = {"Range": f"bytes={have}-", "If-Range": version.validator}
        with request(self.url, headers, self.policy.timeout) as answer:
            head = _read(answer, HEAD_BYTES)
            if answer.status == 206 and version is not None and have:
                self._check_rest(answer, version, have)
            elif answer.status == 206:
                raise RetryableError("the server sends a part that no one asked for")
            else:
                version, have = self._begin(answer, head), 0
            with self.target.open("r+b" if have else "wb") as file:
                file.seek(have)
                self.answers += 1
                have = self._receive(answer, file, head, have, version.total)
        if version.total is not None and have != version.total:
            raise RetryableError(f"it ends after {have} of {version.total} bytes")
        self._check_whole()

    def _check_whole(self) -> None:
        """Look at the first bytes once more: they may have come one by one."""
        with self.target.open("rb") as file:
            head = file.read(HEAD_BYTES)
        try:
            refuse_page(self.url, "", head)
        except UserError:
            self.forget()
            raise
        if self.size is not None and self.received() != self.size:
            raise RetryableError(
                f"it ends after {self.received()} of {self.size} bytes", restart=True
            )

    def _begun(self) -> tuple[Version | None, int]:
        """Return what is on disk from an earlier try, if it may be continued."""
        have = self.received()
        try:
            version = Version(**json.loads(self.notes.read_bytes()))
            total = version.total
            fine = version.url == self.url and bool(version.validator) and have > 0
            fine = fine and (total is None or (isinstance(total, int) and have <= total))
        except (OSError, ValueError, TypeError, RecursionError):
            fine = False
        if not fine:
            self.forget()
            return None, 0
        self.answers = max(self.answers, 1)
        return version, have

    def _check_rest(self, answer: urllib3.BaseHTTPResponse, version: Version, have: int) -> None:
        """Refuse a part that does not continue what is there, whatever the server was asked."""
        found = RANGE.fullmatch(answer.headers.get("Content-Range") or "")
        first, last, total = found.groups() if found else ("", "", "")
        ends = version.total is None or (
            total in ("*", str(version.total)) and int(last or -1) == version.total - 1
        )
        if first != str(have) or not ends:
            raise RetryableError("the server sends another part than asked for", restart=True)
        # an answer must repeat its ETag (RFC 9110 section 15.3.7); without, nothing is proven
        if _validator(answer) != version.validator:
            raise RetryableError("the file changed while it was fetched", restart=True)

    def _begin(self, answer: urllib3.BaseHTTPResponse, head: bytes) -> Version:
        """Start from the first byte; what is there is kept until the answer looks like a file."""
        refuse_page(self.url, answer.headers.get("Content-Type") or "", head)
        total = length_of(answer)
        if self.size is not None and total is not None and total != self.size:
            raise UserError(
                f"{self.url} has {total} bytes, the published file has {self.size}.",
                "The publisher may have replaced it; look at the model's page.",
            )
        self._check_room(total or 0)
        self.forget()
        version = Version(self.url, _validator(answer), total)
        write_whole(self.notes, json.dumps(asdict(version)).encode())
        return version

    def _check_room(self, total: int) -> None:
        if total > self.policy.most:
            raise UserError(
                f"{self.url} would have {total} bytes, more than any published file.",
                "Correct the location in the registry.",
            )
        self.target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.target.parent).free
        if total > free:
            raise UserError(
                f"{self.url} has {total} bytes, but only {free} are free at {self.target.parent}.",
                "Free some space, or set POSEBENCH_CACHE to a folder on another disk.",
            )

    def _receive(
        self,
        answer: urllib3.BaseHTTPResponse,
        file: BinaryIO,
        block: bytes,
        have: int,
        total: int | None,
    ) -> int:
        """Write the body, whose first block is read already; return the bytes on disk."""
        pace = Pace(self.policy)
        most = self.policy.most if self.size is None else self.size
        while block:
            have += len(block)
            if have > (most if total is None else total):
                raise RetryableError(
                    f"it does not end after {have - len(block)} bytes", restart=True
                )
            file.write(block)
            if self.progress is not None:
                self.progress(have, total)
            check_cancelled(self.policy.cancel)
            pace.add(len(block))
            block = _read(answer, BLOCK)
        return have


class Pace:
    """Notices a transfer that crawls.

    Args:
        policy: Its ``slowest`` and ``window``.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self.least = policy.slowest * policy.window
        self.window = policy.window
        self.start, self.count = time.monotonic(), 0

    def add(self, count: int) -> None:
        """Count received bytes.

        Raises:
            RetryableError: Too few came in the last window.
        """
        self.count += count
        now = time.monotonic()
        if now - self.start >= self.window:
            if self.count < self.least:
                raise RetryableError(f"only {self.count} bytes came in {now - self.start:.0f} s")
            self.start, self.count = now, 0


def _read(answer: urllib3.BaseHTTPResponse, most: int) -> bytes:
    """Return what has come, at least a byte, so that a crawling server blocks no longer than that.

    An error of the connection must not be taken for one of the disk.
    """
    from urllib3.exceptions import HTTPError

    try:
        return answer.read1(most)
    except (HTTPError, OSError, http.client.HTTPException, ValueError) as error:
        raise RetryableError(reason_of(error)) from error


def _validator(answer: urllib3.BaseHTTPResponse) -> str:
    """Return what tells this content from another, empty where the server gives nothing."""
    tag = answer.headers.get("ETag", "").strip()
    weak = tag.startswith("W/")
    return tag if tag and not weak else answer.headers.get("Last-Modified", "").strip()
