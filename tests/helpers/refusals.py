"""What every refusal must look like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posebench.types.errors import UserError


def refusal(action: Callable[..., Any], path: Path, *arguments: Any, **options: Any) -> UserError:
    """Run an action that must end in one sentence that names the file, and a hint."""
    with pytest.raises(UserError) as caught:
        action(path, *arguments, **options)
    error = caught.value
    assert str(path) in error.message
    assert error.message.endswith(".")
    assert "\n" not in error.message
    assert error.hint.endswith(".")
    return error
