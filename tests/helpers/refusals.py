"""What a message must hold, however it is worded: the offending value, its place, the next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from posebench.types.errors import UserError


def mentions(text: str, fact: object) -> bool:
    """Whether a text holds a fact as a whole: ``5`` is neither in 51 nor in 5.4 or 1,005."""
    fact = str(fact)
    before = r"(?<!\w)" + r"(?<!\d[.,])" * fact[0].isdigit()
    after = r"(?!\w)" + r"(?![.,]\d)" * fact[-1].isdigit()
    return re.search(before + re.escape(fact) + after, text) is not None


def assert_mentions(text: str, *facts: object) -> None:
    """Every fact is in a text: a value, a file and line, a key, a command or an option."""
    absent = [str(fact) for fact in facts if not mentions(text, fact)]
    assert not absent, f"{absent} not in {text!r}"


def assert_refusal(error: BaseException, names: Iterable[object], hint: object = ()) -> None:
    """An error names the facts in one sentence, and its hint names the next step."""
    if not isinstance(error, UserError):
        assert hint == ()
        assert_mentions(str(error), *names)
        return
    assert error.message.endswith("."), error.message
    assert "\n" not in error.message
    assert_mentions(error.message, *names)
    assert_mentions(error.hint, *([hint] if isinstance(hint, str) else hint))


@contextmanager
def refused(
    *names: object, hint: object = (), error: type[BaseException] = UserError
) -> Iterator[pytest.ExceptionInfo]:
    """What stands in the block must be refused.

    Args:
        names: Facts of the message: the offending value, the file, the key.
        hint: A fact of the hint, or several: a command, an option, a bound.
        error: What is raised.

    Yields:
        What pytest caught, for further assertions after the block.
    """
    with pytest.raises(error) as caught:
        yield caught
    assert_refusal(caught.value, names, hint)


def refusal(action: Callable[..., Any], path: Path, *arguments: Any, **options: Any) -> UserError:
    """The refusal of a file: it names the file, and its hint is a sentence."""
    with refused(path) as caught:
        action(path, *arguments, **options)
    assert caught.value.hint.endswith(".")
    return caught.value
