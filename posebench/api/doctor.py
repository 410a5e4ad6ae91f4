"""``doctor``: what works on this machine, what does not, and the command that fixes it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

from posebench.downloads.data_root import DATA_ROOT, named_root
from posebench.install import install_command, requirements
from posebench.registry import Registry, load_registry
from posebench.types.errors import UserError
from posebench.version import __version__

# Where a distribution's module is called otherwise.
MODULES = {
    "opencv-python-headless": "cv2",
    "pyyaml": "yaml",
    "mmcv-lite": "mmcv",
}
INSTEAD = {"opencv-python-headless": ("opencv-python", "opencv-contrib-python")}
EXTRAS = {
    "fetch": "files on Google Drive",
    "openmmlab": "the models of MMPose",
    "ray": "evaluations spread over machines",
    "runtimes": "`posebench speed --runtime`",
    "gpu": "clocks and energy of NVIDIA's accelerators",
}
# Not among the extra's packages: one that it asks for no longer builds.
MMPOSE = "pip install --no-deps mmpose==1.3.2"
# Of OpenCV 4.x wheels on x86-64, which crop as those did that made the published numbers.
CROP_SELF_TEST = "1e352eb2959e4eb9"
LITTLE_ROOM = 2_000_000_000
Status = Literal["ok", "missing", "broken", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that was considered.

    Attributes:
        area: ``environment``, ``devices``, ``optional parts``, ``datasets`` or ``checkpoints``.
        name: What.
        status: ``ok``; ``missing``, which only some uses need; ``broken``, which all need;
            ``note`` for what may matter.
        detail: What was found.
        mend: A command or sentence that fixes it, empty where nothing has to be done.
    """

    area: str
    name: str
    status: Status
    detail: str
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON's types."""
        return asdict(self)


def examine(registry: Sequence[Path] = (), data_root: Path | None = None) -> list[Finding]:
    """Look at everything, and change nothing.

    A part that cannot be considered because another one is broken is a finding itself.

    Args:
        registry: Folders of further rows.
        data_root: Where datasets lie; None means ``POSEBENCH_DATA``.
    """
    root = named_root(data_root)
    looks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("environment", _environment),
        ("devices", _devices),
        ("optional parts", _optional),
        ("datasets", lambda: _datasets(load_registry(tuple(registry)), root)),
        ("checkpoints", lambda: _checkpoints(load_registry(tuple(registry)), tuple(registry))),
    ]
    found: list[Finding] = []
    for area, look in looks:
        try:
            found += look()
        except UserError as error:
            found.append(Finding(area, area, "broken", error.message, error.hint))
        except Exception as error:
            # the doctor does not fall ill: a broken torch fails in many ways
            said = f"cannot be considered: {type(error).__name__}: {_line(error)}"
            found.append(Finding(area, area, "broken", said, "Mend what is broken above first."))
    return found


def _environment() -> Iterator[Finding]:
    area = "environment"
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
    yield Finding(area, "posebench", "ok", f"{__version__}, {where}")
    version = platform.python_version()
    old = sys.version_info < (3, 10)
    yield Finding(area, "python", "broken" if old else "ok", version,
                  "Use Python 3.10 or newer." if old else "")  # fmt: skip
    for name, wanted, extra in requirements():
        if not extra:
            yield _package(area, name, wanted, "broken", f"pip install '{name}{wanted}'")
    yield from _crops(area)


def _package(area: str, name: str, wanted: str, absent: Status, mend: str) -> Finding:
    version = None
    for distribution in (name, *INSTEAD.get(name, ())):
        try:
            version = metadata.version(distribution)
            break
        except metadata.PackageNotFoundError:
            continue
    if version is None:
        return Finding(area, name, absent, "not installed", mend)
    try:
        import_module(MODULES.get(name, name.replace("-", "_")))
    except Exception as error:
        said = f"{version}, but it cannot be imported: {_line(error)}"
        return Finding(area, name, "broken", said, mend)
    if not _satisfies(version, wanted):
        return Finding(area, name, "broken", f"{version}, but {wanted} is needed", mend)
    return Finding(area, name, "ok", version)


def _satisfies(version: str, wanted: str) -> bool:
    """Whether a version lies between the declared bounds; ``rc1`` or ``+cpu`` do not count."""
    # here, so that a machine without it still hears what else it lacks
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return not wanted or Version(version).base_version in SpecifierSet(wanted)
    except InvalidVersion:
        return False


def _crops(area: str) -> Iterator[Finding]:
    from posebench.inference.crop import self_test

    found = self_test()
    if found == CROP_SELF_TEST:
        yield Finding(area, "crops", "ok", f"as the published numbers' ({found})")
    else:
        yield Finding(
            area, "crops", "note",
            f"other pixels than the published numbers' ({found}, not {CROP_SELF_TEST})",
            "Use opencv-python-headless 4.x on x86-64 where the last digits matter.",
        )  # fmt: skip


def _devices() -> Iterator[Finding]:
    import torch

    area = "devices"
    yield Finding(area, "cpu", "ok", f"{torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            room = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
            yield Finding(
                area, f"cuda:{index}", "ok", f"{torch.cuda.get_device_name(index)}, {room}"
            )
    elif shutil.which("nvidia-smi"):
        built = torch.version.cuda
        what = f"built for CUDA {built}" if built else "built for the CPU alone"
        yield Finding(
            area, "cuda", "missing", f"there is an NVIDIA driver, but torch {what} finds no device",
            "Install the torch build that https://pytorch.org/get-started names for this driver.",
        )  # fmt: skip
    else:
        yield Finding(area, "cuda", "note", "no NVIDIA driver; everything runs on the CPU")


def _optional() -> Iterator[Finding]:
    """One finding an extra: what it lacks, and the one command that brings it."""
    area = "optional parts"
    own = {name for name, _, extra in requirements() if not extra}
    for extra, use in EXTRAS.items():
        # mmpose wants an older numpy and OpenCV: an environment of its own, no fault of this one
        wanted = [(name, v) for name, v, of in requirements() if of == extra and name not in own]
        wanted += [("mmpose", "")] if extra == "openmmlab" else []
        found = [_package(area, name, versions, "missing", "") for name, versions in wanted]
        lacking = [one.name for one in found if one.status == "missing"]
        if lacking:
            # what is there may have other versions: no one asked for this part yet
            yield Finding(
                area, extra, "missing", f"for {use}; not installed: {', '.join(lacking)}",
                _command(extra),
            )  # fmt: skip
            continue
        broken = [f"{one.name} {one.detail}" for one in found if one.status == "broken"]
        there = ", ".join(f"{one.name} {one.detail}" for one in found)
        if broken:
            yield Finding(area, extra, "broken", f"for {use}; {'; '.join(broken)}", _command(extra))
        else:
            yield Finding(area, extra, "ok", f"for {use}; {there}")


def _command(extra: str) -> str:
    command = install_command(extra)
    return f"{command} && {MMPOSE}" if extra == "openmmlab" else command


def _datasets(known: Registry, root: Path | None) -> Iterator[Finding]:
    from posebench.downloads.datasets import is_there

    area = "datasets"
    if root is None:
        yield Finding(
            area, "data root", "missing", f"neither --data-root nor {DATA_ROOT} is given",
            f"export {DATA_ROOT}=DIR",
        )  # fmt: skip
    elif not root.is_dir():
        yield Finding(area, "data root", "missing", f"{root} is not a folder", f"mkdir -p {root}")
    else:
        refused = _refuses(root)
        room = f"read only ({refused})" if refused else _room(root)
        yield Finding(area, "data root", "ok", f"{root}, {room}")
    for spec in known.datasets.values():
        if not spec.files:
            yield Finding(area, spec.id, "ok", "posebench draws it on first use")
            continue
        place = f"--data-root {root or 'DIR'}"
        absent = [f.path for f in spec.files if root is None or not is_there(spec, f, root)]
        if not absent:
            yield Finding(area, spec.id, "ok", "complete")
            continue
        there = len(spec.files) - len(absent)
        detail = f"{there} of {len(spec.files)} parts; missing {', '.join(absent)}"
        mend = f"posebench fetch --dataset {spec.id} {place}"
        yield Finding(area, spec.id, "missing", detail, mend)


def _checkpoints(known: Registry, folders: tuple[Path, ...]) -> Iterator[Finding]:
    from posebench.downloads.cache import Cache
    from posebench.downloads.checksum_lock import ChecksumLock
    from posebench.downloads.plan import SHIPPED, THERE, Settings, plan_entries

    area, cache = "checkpoints", Cache()
    yield _cache_folder(area, cache.root)
    locks = ChecksumLock(cache, folders)
    recorded = sum(locks.find(checkpoint) is not None for checkpoint in known.checkpoints.values())
    total = len(known.checkpoints)
    yield Finding(area, "lock", "ok", f"{recorded} of {total} files were fetched before")
    items = plan_entries(known.entries, Settings(registry=folders))
    for zoo in known.zoos:
        own = {e.checkpoint.id for e in known.entries if e.zoo == zoo}
        states = [item.state for item in items if item.name in own]
        here = sum(state in (SHIPPED, THERE) for state in states)
        enough = here == len(states)
        yield Finding(
            area, zoo, "ok" if enough else "missing",
            f"{here} of {len(states)} weights files are here",
            "" if enough else f"posebench fetch --zoo {zoo}",
        )  # fmt: skip
    left = len(list(cache.partial.glob("*")))
    if left:
        yield Finding(
            area, "begun", "note", f"{left} downloads were begun and not ended",
            "Fetch them again to go on, or `posebench cache prune`.",
        )  # fmt: skip


def _cache_folder(area: str, folder: Path) -> Finding:
    mend = "export POSEBENCH_CACHE=DIR, a folder that you can write to"
    if not folder.is_absolute():  # no one knows a home folder
        said = f"{folder} would lie in whatever folder a command runs in: there is no home folder"
        return Finding(area, "cache", "broken", said, mend)
    refused = _refuses(folder)
    if refused:
        return Finding(area, "cache", "broken", f"{folder} cannot be written: {refused}", mend)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    status: Status = "ok" if free > LITTLE_ROOM else "note"
    mend = "" if status == "ok" else "Free some space, or set POSEBENCH_CACHE to another disk."
    return Finding(area, "cache", status, f"{folder}, {_room(existing)}", mend)


def _refuses(folder: Path) -> str:
    """Why a folder, or the nearest one above it that exists, takes no file; empty if it does.

    Permissions alone do not tell: a file is made there, and is gone again.
    """
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            return f"{existing} is not a folder"
        with tempfile.TemporaryDirectory(prefix=".posebench-doctor-", dir=existing):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def _room(folder: Path) -> str:
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
