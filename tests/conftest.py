"""Fixtures that every test folder may use."""

from __future__ import annotations

import os
from pathlib import Path

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
