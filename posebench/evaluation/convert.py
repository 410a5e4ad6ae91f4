"""Published weights as a plain, safe file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from posebench.adapters.copies import Origin, origin_of
from posebench.checkpoints import guess_container, read_metadata, sha1_of, sha256_of
from posebench.evaluation.prepare import load_entry
from posebench.registry import load_registry
from posebench.types.base import StrPath, required_path
from posebench.types.errors import UserError
from posebench.types.model import PoseModel

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Copy:
    """A file that was written.

    Attributes:
        path: Of the copy.
        sha256: Its digest.
        tensors: In it.
        origin: The file it was made from.
    """

    path: Path
    sha256: str
    tensors: int
    origin: Origin


def convert(
    model: str,
    checkpoint: StrPath,
    output: StrPath,
    *,
    dataset: str | None = None,
    registry: Sequence[StrPath] = (),
) -> Copy:
    """Copy a published weights file into a safetensors file under the network's own names.

    The file is loaded as for an evaluation, strictly, so a copy is always complete. The copy can
    be given wherever the published file can.

    Args:
        model: Id or short name of the registry.
        checkpoint: The file as its zoo publishes it.
        output: Where the copy goes; an older file there is replaced.
        dataset: Disambiguates a short name.
        registry: Folders of further rows.

    Returns:
        The copy, with its digest and where it came from.

    Raises:
        UserError: The file does not fit, or the copy cannot be written.

    Example:
        >>> import posebench, tempfile
        >>> from posebench.downloads.weights_file import shipped_file
        >>> weights = shipped_file(posebench.find_entry("demo_s").checkpoint)
        >>> copy = posebench.convert("demo_s", weights, f"{tempfile.mkdtemp()}/copy.safetensors")
        >>> copy.path.name
        'copy.safetensors'
    """
    checkpoint, output = required_path(checkpoint), required_path(output)
    known = load_registry(registry)
    entry = known.find(model, dataset)
    if output.suffix != SUFFIX:
        raise UserError(
            f"The copy would be called '{output.name}'.", f"Give a name that ends in {SUFFIX}."
        )
    if guess_container(checkpoint) == "safetensors" and origin_of(
        read_metadata(checkpoint), checkpoint
    ):
        raise UserError(f"{checkpoint} is a copy already.", "Give the file that the zoo publishes.")
    if output.exists() and output.samefile(checkpoint):
        raise UserError(f"{output} is the file to convert.", "Give the copy another name.")
    pose_model = load_entry(entry, checkpoint, rows=known.entries)
    origin = _origin(pose_model, checkpoint)
    state = {name: value.contiguous() for name, value in pose_model.network.state_dict().items()}
    partial = output.with_name(f".{output.name}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, partial, metadata=origin.metadata())
        partial.replace(output)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{output} cannot be written: {reason}.", "Give another folder.") from error
    return Copy(output, sha256_of(output), len(state), origin)


def _origin(model: PoseModel, source: Path) -> Origin:
    assert model.checkpoint_sha256 is not None
    return Origin(
        zoo=model.entry.zoo,
        model=model.entry.id,
        name=source.name,
        sha256=model.checkpoint_sha256,
        sha1=sha1_of(source),
        size=source.stat().st_size,
        notes=model.notes,
    )
