"""Shrink recorded outputs to what a clone can carry: 256 samples, mean and spread of each.

The full records (``<zoo>/<model>/manifest.json`` and ``output.npy``) are not part of the
repository. Run from its root, beside them::

    python tools/compact_goldens.py ../shared/goldens tests/goldens

Models are those already in the target folder; name further ones as ``<zoo>/<model>``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 256
KEPT = ("framework", "config", "gain", "input", "input_sha256", "weights_sha256", "n_entries")


def compact(folder: Path, name: str) -> dict[str, Any]:
    """Return the compact record of one model.

    Where the network gives several outputs, ``output``, ``positions`` and ``values`` are those of
    the last one, and ``outputs`` holds the same three for each, in the network's order.

    Args:
        folder: Where the full records are.
        name: ``<zoo>/<model>``; it also seeds the choice of positions.
    """
    raw = (folder / name / "manifest.json").read_bytes()
    manifest = json.loads(raw)
    recorded = [
        _sampled(np.load(folder / name / each["file"]), each["sha256"], name)
        for each in manifest["outputs"]
    ]
    several = {"outputs": recorded} if len(recorded) > 1 else {}
    return {
        "model": name,
        "manifest_sha256": hashlib.sha256(raw).hexdigest(),
        **{key: manifest[key] for key in KEPT if key in manifest},
        **recorded[-1],
        **several,
    }


def _sampled(output: NDArray[np.float32], sha256: str, seed: str) -> dict[str, Any]:
    positions = sorted(random.Random(seed).sample(range(output.size), SAMPLES))
    return {
        "output": {
            "shape": list(output.shape),
            "sha256": sha256,
            "mean": float(output.mean(dtype=np.float64)),
            "std": float(output.std(dtype=np.float64)),
        },
        "positions": positions,
        "values": [float(value) for value in output.reshape(-1)[positions]],
    }


def main() -> None:
    """Write one JSON file per model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, help="folder of the full records")
    parser.add_argument("target", type=Path, help="folder of the compact ones")
    parser.add_argument("models", nargs="*", help="<zoo>/<model>, besides those already there")
    options = parser.parse_args()
    present = (path.relative_to(options.target) for path in options.target.glob("*/*.json"))
    names = {path.with_suffix("").as_posix() for path in present} | set(options.models)
    for name in sorted(names):
        path = options.target / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(compact(options.records, name), indent=1)
        # one line per list: numbers one below the other would make a diff unreadable
        path.write_text(_short_lists(text) + "\n")
        print(path)


def _short_lists(text: str) -> str:
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if inside:
            lines[-1] += line.strip() + ("" if line.strip().startswith("]") else " ")
            inside = not line.strip().startswith("]")
        else:
            lines.append(line)
            inside = line.endswith("[")
    return "\n".join(lines).replace(" ]", "]")


if __name__ == "__main__":
    main()
