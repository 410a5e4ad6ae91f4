"""Seed known faults one at a time into a copy of the package: each must make a test fail.

Run from the repository: ``python tools/seed_faults.py [NAME ...]``.  Exit status 1 if a fault
survives or no longer applies.  The list below is the evidence that the tests have teeth; a fault
that was once missed belongs here together with the test that now catches it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Fault:
    """One replacement of source text, and the tests that must notice it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


FAULTS = (
    Fault(
        "shift dropped",
        "posebench/inference/flip.py",
        "    if shift:\n",
        "    if False:\n",
        "tests/inference",
    ),
    Fault(
        "shift in place on overlapping memory",
        "posebench/inference/flip.py",
        "        back = torch.cat([back[..., :1], back[..., :-1]], dim=-1)\n",
        "        back[..., 1:] = back[..., :-1]\n",
        "tests/inference",
    ),
    Fault(
        "BGR for RGB",
        "posebench/inference/predict.py",
        'if spec.colour == "rgb":',
        'if spec.colour == "bgr":',
        "tests/inference",
    ),
    Fault(
        "mean without std",
        "posebench/inference/predict.py",
        "/ 255.0 - mean) / std)",
        "/ 255.0 - mean))",
        "tests/inference",
    ),
    Fault(
        "padding 1.25 dropped",
        "posebench/datasets/boxes.py",
        "    padded = scale * np.float32(spec.padding)\n",
        "    padded = scale\n",
        "tests/inference",
    ),
    Fault(
        "box width not reduced by one",
        "posebench/datasets/boxes.py",
        "x1 + np.maximum(0, box[:, 2] - 1)",
        "x1 + np.maximum(0, box[:, 2])",
        "tests/datasets",
    ),
    Fault(
        "UDP inverse for TinyPose",
        "registry/protocols.yaml",
        "tinypose_gt@1:\n",
        "tinypose_gt@1:\n  inverse: udp\n",
        "tests/registry",
    ),
    Fault(
        "quarter offset at the border",
        "posebench/inference/decode.py",
        "(x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)",
        "(x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)",
        "tests/inference",
    ),
    Fault(
        "DARK kernel 11 for 3",
        "posebench/types/protocol.py",
        "dark_kernel: int = Field(3,",
        "dark_kernel: int = Field(11,",
        "tests/registry tests/run",
    ),
    Fault(
        "soft-argmax beta",
        "posebench/types/protocol.py",
        "softargmax_beta: float = Field(160.0,",
        "softargmax_beta: float = Field(100.0,",
        "tests/inference",
    ),
    Fault(
        "two flip pairs swapped",
        "posebench/keypoints.py",
        "(5, 6)",
        "(5, 8)",
        "tests/test_keypoints.py tests/inference",
    ),
    Fault(
        "visibility threshold 0 for 0.2",
        "posebench/types/protocol.py",
        "visibility_threshold: float = 0.2",
        "visibility_threshold: float = 0.0",
        "tests/inference",
    ),
    Fault(
        "NMS threshold",
        "posebench/types/protocol.py",
        "nms_threshold: float = 0.9",
        "nms_threshold: float = 0.8",
        "tests/registry tests/inference",
    ),
    Fault(
        "a sigma swapped",
        "posebench/keypoints.py",
        "*(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),",
        "*(0.072, 0.079, 0.079, 0.072, 0.062, 0.062),",
        "tests/test_keypoints.py tests/scoring",
    ),
    Fault(
        "BatchNorm epsilon 1.1e-5 (LPN)",
        "posebench/networks/lpn.py",
        "BATCH_NORM_EPS = 1e-5",
        "BATCH_NORM_EPS = 1.1e-5",
        "tests/networks tests/goldens",
    ),
    Fault(
        "BatchNorm epsilon 1.1e-5 (LiteHRNet)",
        "posebench/networks/lite_hrnet.py",
        "BATCH_NORM_EPS = 1e-5",
        "BATCH_NORM_EPS = 1.1e-5",
        "tests/networks tests/goldens",
    ),
    Fault(
        "strict=False",
        "posebench/checkpoints/strict.py",
        "    if any(problems.values()):",
        "    if False:",
        "tests/checkpoints tests/adapters",
    ),
    Fault(
        "LiteHRNet's first term not doubled",
        "posebench/networks/lite_hrnet.py",
        "            total = FIRST_TERM * terms[0]",
        "            total = terms[0]",
        "tests/networks tests/goldens",
    ),
    Fault(
        "checkpoints may run code",
        "posebench/checkpoints/torch_file.py",
        "weights_only=True",
        "weights_only=False",
        "tests/checkpoints",
    ),
)


def copy_tree(target: Path) -> None:
    """Copy what git tracks or would track, so that a fault never touches the real tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def caught(fault: Fault, tree: Path) -> bool:
    """Seed a fault into the copied tree, run its tests, take the fault out again.

    Raises:
        SystemExit: The text to replace is not there exactly once.
    """
    path = tree / fault.file
    text = path.read_text(encoding="utf-8")
    if fault.old not in text:
        raise SystemExit(f"{fault.name}: {fault.file} no longer holds {fault.old!r}")
    path.write_text(text.replace(fault.old, fault.new, 1), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run([*command, *fault.tests.split()], cwd=tree, capture_output=True)
    finally:
        path.write_text(text, encoding="utf-8")
    # 1: a test failed; 2: a module no longer imports, which any test run notices.
    return done.returncode in (1, 2)


def main() -> int:
    """Seed all faults, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these faults")
    names = parser.parse_args().names
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        for fault in chosen:
            found = caught(fault, tree)
            survivors += [] if found else [fault.name]
            print(f"{'caught ' if found else 'MISSED '} {fault.name}", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} seeded faults caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
