"""Turns plain values into typed ones; whatever is wrong is told with file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from posebench.registry.documents import Document
from posebench.types.errors import UserError
from posebench.types.network_arguments import shortened
from posebench.types.suggestions import suggestion

Model = TypeVar("Model", bound=BaseModel)


def mapping(document: Document) -> dict[str, Any]:
    """Return a document's content, which must be a mapping; an empty file is an empty one."""
    if document.value is None:
        return {}
    if not isinstance(document.value, dict):
        raise document.error("the file must hold keys with values.", (), "Write name: value.")
    return document.value


def checked(
    document: Document,
    model: type[Model],
    at: Sequence[str | int],
    fields: Any,
    labels: Mapping[str, Any] | None = None,
) -> Model:
    """Return ``fields`` as a ``model``.

    Args:
        document: Where the fields stand.
        model: The type to make.
        at: Path of the fields inside the document.
        fields: What stands there.
        labels: Further fields, which the file gives in another way (as the key, say).

    Raises:
        UserError: The first thing that is wrong, with file and line.
    """
    if not isinstance(fields, dict):
        raise document.error("expected keys with values here.", at, "Write name: value below it.")
    try:
        return model.model_validate({**fields, **(labels or {})})
    except ValidationError as error:
        raise _explain(document, model, at, error) from None


def _explain(
    document: Document, model: type[BaseModel], at: Sequence[str | int], error: ValidationError
) -> UserError:
    # An unknown key comes first: it is often the reason why another one is missing.
    problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    problem = problems[0]
    path = [step for step in problem["loc"] if step != "[key]"]
    where = [*at, *path]
    name = ".".join(str(step) for step in path) or model.__name__
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        hint = suggestion(str(path[-1]), known) or f"Known keys: {', '.join(known)}."
        return document.error(f"unknown key {str(path[-1])!r}.", where, hint)
    if problem["type"] == "missing" and isinstance(path[-1], int):
        parent = ".".join(str(step) for step in path[:-1])
        return document.error(f"{parent} has too few values.", where, "Add the missing ones.")
    if problem["type"] == "missing":
        return document.error(f"the key {str(path[-1])!r} is missing.", where, f"Add {name}.")
    wrong = problem["msg"].removeprefix("Value error, ")
    wrong = wrong[:1].lower() + wrong[1:]
    value = shortened(problem["input"])
    return document.error(f"{name} is {value}: {wrong}.", where, "Correct that value.")


def _fields_at(model: type[BaseModel], path: Sequence[Any]) -> list[str]:
    """Return the keys that may stand at ``path`` inside a ``model``."""
    found: type[BaseModel] | None = model
    for step in path:
        if found is not None and isinstance(step, str) and step in found.model_fields:
            found = next(_models(found.model_fields[step].annotation), None)
    return list(found.model_fields) if found else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)
