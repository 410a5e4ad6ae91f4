"""Does each registry row load its zoo's file format and compute what the original computes?

For every row a weights file is made in the zoo's own container, from weights that anyone can
recompute; it is read and loaded as any published file, and the output is compared with the one
that was recorded from the original code with the same weights.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posebench.adapters import load_weights
from posebench.adapters.schemes import FOREIGN
from posebench.networks import NETWORKS, build_network, deterministic_weights, parameter_count
from posebench.progress import Progress, shown
from posebench.registry import load_registry
from posebench.types.base import StrPath
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.verification.checkpoint_writer import filled_state, write_native
from posebench.verification.goldens import Golden, Recording, find_recording

OK, STRUCTURE_ONLY, FAILED = "ok", "structure only", "failed"
# Largest difference over the output's standard deviation. Between frameworks 2e-6 to 2e-5 were
# measured, most in Lite-HRNet; a BatchNorm epsilon of 1.1e-5 for 1e-5 shows as 3e-5 to 9e-5.
TOLERANCE = 3e-5
TOLERANCES = {"lite_hrnet": 5e-5}
# The fill's gain where no record prescribes one.
GAIN = 0.8
SHOWN = 3


@dataclass(frozen=True)
class Verification:
    """What was found for one row.

    Attributes:
        id: Of the row.
        key: ``zoo/id``.
        status: ``ok``; ``structure only`` where no output was recorded, but the network builds,
            loads its file format strictly and gives heatmaps; ``failed``.
        error: Largest difference to the recorded output over its standard deviation.
        tolerance: That it must stay below.
        golden: Name of the record.
        compared: ``full`` output or its ``samples``.
        parameters: Learned numbers of the row's network.
        seconds: That it took; 0 where another row had the same network and record.
        note: Why it failed, or what to know.
    """

    id: str
    key: str
    status: str
    error: float | None = None
    tolerance: float | None = None
    golden: str | None = None
    compared: str | None = None
    parameters: int | None = None
    seconds: float = 0.0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def verify(
    models: str | Sequence[str] = (),
    *,
    dataset: str | None = None,
    registry: Sequence[StrPath] = (),
    progress: Progress | None = None,
) -> list[Verification]:
    """Verify rows one after the other; only one network is in memory at a time.

    Args:
        models: Id or short name, or several; all rows that have an original if empty.
        dataset: Disambiguates a short name.
        registry: Folders of further rows.
        progress: Called with (what, done, all); bars where somebody looks by default.

    Returns:
        One finding a row, in the order of the registry or of ``models``.

    Raises:
        UserError: A name is unknown, or means a model without an original.

    Example:
        >>> import posebench
        >>> posebench.verify("lpn_50", dataset="coco")[0].status in ("ok", "structure only")
        True
    """
    known = load_registry(registry)
    named = [models] if isinstance(models, str) else models
    rows = [known.find(model, dataset) for model in named]
    for entry in rows:
        if not _has_original(entry):
            raise UserError(
                f"{entry.key} has no original to be compared with: {_why_none(entry)}.",
                f"`posebench eval --model {entry.id}` compares it with its claims.",
            )
    rows = rows or [entry for entry in known.entries if _has_original(entry)]
    done: dict[str, Verification] = {}
    found = []
    with shown(progress, "models") as report:
        for index, entry in enumerate(rows):
            if report:
                report("models", index, len(rows))
            found.append(_verify_once(entry, done))
    return found


def _has_original(entry: Entry) -> bool:
    return not _why_none(entry)


def _why_none(entry: Entry) -> str:
    """Say why a row's network has no other implementation; empty if it has one."""
    if entry.network.name in FOREIGN:
        return "the zoo's own code builds it"
    own = entry.checkpoint.shipped or entry.checkpoint.container == "none"
    return "posebench itself ships it" if own else ""


def _verify_once(entry: Entry, done: dict[str, Verification]) -> Verification:
    """Verify a row, or repeat what was found for one with the same network and record."""
    start = time.monotonic()
    try:
        recording = find_recording(entry)
        golden = recording.golden.id if recording.golden else entry.input.size
        network = entry.network.model_dump_json()
        same = json.dumps([golden, network, entry.adapter, entry.checkpoint.container])
        if same not in done:
            finding = verify_entry(entry, recording)
            done[same] = replace(finding, seconds=round(time.monotonic() - start, 2))
            return done[same]
        return replace(done[same], id=entry.id, key=entry.key, seconds=0.0)
    except UserError as error:
        return Verification(entry.id, entry.key, FAILED, note=str(error))


def verify_entry(entry: Entry, recording: Recording) -> Verification:
    """Load a row's filled file and compare the output.

    Raises:
        UserError: The network cannot be built, or the file does not fit it.
    """
    golden = recording.golden
    if golden is None or recording.arguments:
        problem, parameters = _check_structure(entry, recording)
        if problem or golden is None:
            status = FAILED if problem else STRUCTURE_ONLY
            note = problem or "no output was recorded"
            return Verification(entry.id, entry.key, status, parameters=parameters, note=note)
    else:
        parameters = _parameters(entry)
    recorded = _with_arguments(entry, recording.arguments)
    note = ", ".join(f"recorded with {k} {v}" for k, v in recording.arguments.items())
    finding = Verification(
        entry.id,
        entry.key,
        OK,
        tolerance=TOLERANCES.get(entry.network.name, TOLERANCE),
        golden=golden.id,
        compared="full" if golden.full else "samples",
        parameters=parameters,
        note=note,
    )
    return _compare(recorded, golden, finding)


def _compare(entry: Entry, golden: Golden, finding: Verification) -> Verification:
    model, digest = load_filled(entry, golden.gain)
    if digest != golden.weights_sha256:
        return replace(finding, status=FAILED, note=_describe_manifest(entry, golden))
    outputs = all_outputs(model.network, golden.input, several=len(golden.outputs) > 1)
    shapes = [output.shape for output in outputs]
    if shapes != [recorded.shape for recorded in golden.outputs]:
        return replace(finding, status=FAILED, note=f"gives outputs of shape {shapes}")
    error = max(map(float, _differences(outputs, golden)))
    assert finding.tolerance is not None
    # "not below", so that NaN fails as well
    if not error < finding.tolerance:
        note = f"differs from the original by {error:.1e} of the output's spread"
        return replace(finding, status=FAILED, error=error if error == error else None, note=note)
    return replace(finding, error=error)


def load_filled(entry: Entry, gain: float) -> tuple[PoseModel, str]:
    """Write a row's file in its native container and load it as any published one.

    Returns:
        The model, and the digest of the file's names and values.
    """
    with torch.device("meta"):
        network = build_network(entry.network.name, **entry.network.arguments)
    container = entry.checkpoint.container
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        state = filled_state(network, entry.adapter, gain)
        digest = deterministic_weights.digest(state.items())
        write_native(state, container, path)
        del state
        # the published file's digests are not this one's
        blank = Checkpoint(id=entry.checkpoint.id, container=container)
        return load_weights(entry.model_copy(update={"checkpoint": blank}), path), digest


def all_outputs(
    network: Any, shape: tuple[int, int, int, int], *, several: bool = False
) -> list[NDArray[np.float32]]:
    """Return a network's outputs for the recomputed input of a shape."""
    image = torch.from_numpy(deterministic_weights.network_input(shape))
    with torch.inference_mode():
        if several:
            return [output.numpy() for output in network.all_heatmaps(image)]
        return [network(image).numpy()]


def _differences(outputs: Sequence[NDArray[np.float32]], golden: Golden) -> list[float]:
    found = []
    for output, recorded in zip(outputs, golden.outputs, strict=True):
        found.append(recorded.difference(output))
        if golden.full:
            whole = np.load(golden.full / recorded.file)
            found.append(float(np.abs(output - whole).max()) / recorded.std)
    return found


def _check_structure(entry: Entry, recording: Recording) -> tuple[str, int]:
    """Return what is wrong with a row of which no output was recorded, and its parameters."""
    parameters = _parameters(entry)
    if recording.parameters not in (None, parameters):
        return f"has {parameters:,} parameters, the original {recording.parameters:,}", parameters
    model, _ = load_filled(entry, GAIN)
    height, width = entry.input.size
    stride = NETWORKS[entry.network.name].stride
    (output,) = all_outputs(model.network, (1, 3, height, width))
    if output.shape[2:] != (height // stride, width // stride) or not np.isfinite(output).all():
        return f"gives no heatmaps but {output.shape}", parameters
    return "", parameters


def _with_arguments(entry: Entry, arguments: Any) -> Entry:
    spec = entry.network
    network = spec.model_copy(update={"arguments": {**spec.arguments, **arguments}})
    return entry.model_copy(update={"network": network})


def _parameters(entry: Entry) -> int:
    with torch.device("meta"):
        network = build_network(entry.network.name, **entry.network.arguments)
    return parameter_count(network)


def _describe_manifest(entry: Entry, golden: Golden) -> str:
    """Say how names and shapes differ from the original's, as far as this machine knows them."""
    words = f"names or shapes of its weights are not those of {golden.id}"
    if golden.full is None:
        return words
    with torch.device("meta"):
        network = build_network(entry.network.name, **entry.network.arguments)
    manifest = json.loads((golden.full / "manifest.json").read_text())
    theirs = {name: tuple(shape) for name, shape, *_ in manifest["entries"]}
    ours = {name: v.shape for name, v in filled_state(network, entry.adapter, GAIN).items()}
    wrong = sorted(name for name in theirs.keys() | ours if theirs.get(name) != ours.get(name))
    examples = [f"{n} {ours.get(n, 'missing')} for {theirs.get(n, 'none')}" for n in wrong[:SHOWN]]
    return f"{words}: {len(wrong)} differ ({'; '.join(examples)})"
