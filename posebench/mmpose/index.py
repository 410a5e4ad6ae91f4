"""What an installed mmpose says about its models: configs, published numbers, weights files.

mmpose's wheel carries its configs and, for each family, a metafile that lists models with their
numbers; ``model-index.yml`` names the metafiles. Reading them imports no mmpose, which would take
seconds and needs torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from posebench.install import install_command
from posebench.types.errors import UserError

VERSION = "1.3.2"
INSTALL = (
    f"{install_command('openmmlab')}, then "
    f"pip install --no-deps mmpose=={VERSION} (it asks for a package that no longer builds)."
)
CONFIGS = "configs/"

Paper = tuple[str, str]


@dataclass(frozen=True)
class Numbers:
    """What one metafile says about a model on one dataset.

    Attributes:
        dataset: The metafile's own name of it (``COCO``, ``COCO-WholeBody``).
        page: Path of the metafile below ``configs/``.
        line: Of the key above the numbers, from 1; the first number stands on the next one.
        values: The metafile's metric names and characters, in its order.
    """

    dataset: str
    page: str
    line: int
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Model:
    """One model of the index.

    Attributes:
        name: As published.
        config: Path below ``configs/``.
        weights: URL of the file.
        paper: Title and URL of the collection's paper; None where no metafile names one.
        numbers: One for each dataset.
    """

    name: str
    config: str
    weights: str
    paper: Paper | None
    numbers: tuple[Numbers, ...]


def package_folder() -> Path:
    """Return the folder of the installed mmpose that holds its index and configs.

    Raises:
        UserError: mmpose is not installed, or not as a wheel.
    """
    found = find_spec("mmpose")
    if found is None or found.origin is None:
        raise UserError("MMPose is not installed.", INSTALL)
    folder = Path(found.origin).parent / ".mim"
    if not (folder / "model-index.yml").is_file():
        raise UserError("The installed mmpose carries no model index.", INSTALL)
    return folder


def read_models(folder: Path) -> tuple[Model, ...]:
    """Return every model of the index, in its order.

    Raises:
        UserError: The index or a metafile cannot be read.
    """
    index = _composed(folder / "model-index.yml")
    pages = [str(node.value) for node in _pair(index, "Import")[1].value]
    roots = {page: _composed(folder / page) for page in pages}
    papers = {
        _text(node, "Name"): _paper(node)
        for root in roots.values()
        for node in _children(root, "Collections")
    }
    return tuple(model for page in pages for model in _models(roots[page], page, papers))


def config_file(folder: Path, config: str) -> Path | None:
    """Return the config's file, None where the wheel has none.

    One metafile writes a dash twice.
    """
    for name in (config, re.sub("-+", "-", config)):
        path = folder / CONFIGS / name
        if path.is_file():
            return path
    return None


def digest_prefix(url: str) -> str | None:
    """Return the first eight digits of the SHA-256 that OpenMMLab writes into a file's name.

    Its ``tools/misc/publish_model.py`` names files ``<name>-<digits>_<date>.pth``; some have the
    two marks the other way round, and some the date alone.
    """
    match = re.search(r"[-_]([0-9a-f]{8})[-_]20\d{6}\.pth$", url)
    match = match or re.search(r"[-_](?!20\d{6}\.)([0-9a-f]{8})\.pth$", url)
    return match[1] if match else None


def _models(root: yaml.Node, page: str, papers: Mapping[str, Paper]) -> Iterator[Model]:
    inner = str(PurePosixPath(page).relative_to(CONFIGS.rstrip("/")))
    for node in _children(root, "Models"):
        yield Model(
            name=_text(node, "Name"),
            config=_text(node, "Config").removeprefix(CONFIGS),
            weights=_text(node, "Weights").lstrip("("),  # one metafile opens a bracket
            paper=papers.get(_text(node, "In Collection")),
            numbers=tuple(_numbers(result, inner) for result in _children(node, "Results")),
        )


def _numbers(node: yaml.Node, page: str) -> Numbers:
    key, metrics = _pair(node, "Metrics")
    values = tuple((str(k.value), str(v.value)) for k, v in metrics.value)
    return Numbers(_text(node, "Dataset"), page, key.start_mark.line + 1, values)


def _paper(node: yaml.Node) -> Paper:
    _, paper = _pair(node, "Paper")
    if isinstance(paper, yaml.SequenceNode):
        paper = paper.value[0]
    return _text(paper, "Title"), _text(paper, "URL")


def _composed(path: Path) -> yaml.Node:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {error}.", INSTALL) from error
    if root is None:
        raise UserError(f"{path} is empty.", INSTALL)
    return root


def _pair(node: yaml.Node, name: str) -> tuple[yaml.Node, yaml.Node]:
    found = next((pair for pair in node.value if pair[0].value == name), None)
    if found is None:
        raise UserError(f"A metafile of mmpose has no {name!r} where one belongs.", INSTALL)
    return found


def _children(node: yaml.Node, name: str) -> list[Any]:
    """Return the list under a key; a metafile may leave it out."""
    found: list[Any] = next((value.value for key, value in node.value if key.value == name), [])
    return found


def _text(node: yaml.Node, name: str) -> str:
    return " ".join(str(_pair(node, name)[1].value).split())
