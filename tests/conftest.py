"""Fixtures that every test folder may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples in every run, so that a build is red for a reason; HYPOTHESIS_PROFILE=default
# looks for new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of pages, goldens and real data; not part of a clone, so tests skip without it.

    It is looked for at ``POSEBENCH_SHARED``, else beside the repository as ``../shared``.
    """
    named = os.environ.get("POSEBENCH_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    if not folder.is_dir():
        where = f"POSEBENCH_SHARED={named}" if named else "../shared"
        pytest.skip(f"needs the shared folder of pages and goldens, which is not at {where}")
    return folder


@pytest.fixture(scope="module")
def running_server() -> Iterator[Any]:
    """A local web server for a whole module; tests take ``server``."""
    from server import serving

    with serving() as running:
        yield running


@pytest.fixture
def server(running_server: Any) -> Any:
    """A local web server that knows nothing yet and misbehaves on request."""
    running_server.forget()
    return running_server


# --- interpreters for which there is no build of torch --------------------------------------------

NO_TORCH = find_spec("torch") is None
# torch's own, and what is of no use without it
ABSENT = tuple(f"No module named '{name}" for name in ("torch", "safetensors"))


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A file of tests that imports torch is skipped where there is none."""
    outcome: Any = yield
    report = outcome.get_result()
    if NO_TORCH and report.failed and any(words in str(report.longrepr) for words in ABSENT):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, "Skipped: needs torch")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that comes to need torch is skipped where there is none, unless it is a light one."""
    outcome: Any = yield
    error = call.excinfo.value if call.excinfo else None
    missing = NO_TORCH and isinstance(error, ModuleNotFoundError) and str(error).startswith(ABSENT)
    if missing and item.get_closest_marker("light") is None:
        report = outcome.get_result()
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, "Skipped: needs torch")
