"""Made-up records for tests; needs neither torch nor OpenCV."""

from __future__ import annotations

from datetime import datetime, timezone

from posebench.types.entry import Checkpoint, Claim, Entry, InputSpec, NetworkSpec, Source
from posebench.types.protocol import Protocol
from posebench.types.record import (
    BoxInfo,
    ClaimResult,
    DatasetInfo,
    Environment,
    Record,
    Timings,
)
from posebench.types.timing import PLAIN, BenchmarkConfiguration, Execution

ZOOS = ("alphapose", "gluoncv", "lpn", "paddledetection")
SIZES = {"demo_s": 60_000, "demo_m": 120_000, "demo_l": 250_000}


def protocol(name: str = "demo_gt_flip", **changes) -> Protocol:
    axes = {
        "name": name,
        "boxes": "gt",
        "sanitise": "clip_before_width",
        "flip": True,
        "shift": True,
        "decode": "quarter",
        "rescoring": "box_times_mean_visible",
        "nms": "oks",
    }
    return Protocol(**(axes | changes))


def claim(raw: str = "61.23", **changes) -> Claim:
    fields = {"metric": "AP", "raw": raw, "protocol": "demo_gt_flip@1", "source": Source(page="p")}
    return Claim(**(fields | changes))


def entry(name: str = "demo_s", claims: tuple[Claim, ...] = (), **changes) -> Entry:
    fields = {
        "id": name,
        "zoo": "demo",
        "short": name,
        "title": name.replace("_", " "),
        "dataset": "synthetic",
        "network": NetworkSpec(name="demo", arguments={"width": 16}),
        "adapter": "native",
        "input": InputSpec(size=(128, 96)),
        "checkpoint": Checkpoint(
            id=name, container="safetensors", location="package:assets/x.safetensors"
        ),
        "claims": claims,
        "licence": "Apache-2.0",
        "citation": "",
        "status": "runnable",
    }
    return Entry(**(fields | changes))


def environment(**changes) -> Environment:
    fields = {
        "posebench": "0.1.0",
        "python": "3.11.7",
        "torch": "2.13.0",
        "numpy": "2.4.6",
        "opencv": "4.14.0",
        "platform": "Linux x86_64",
        "device": "cpu",
        "threads": 2,
        "batch_size": 64,
        "crop_self_test": "ab" * 32,
    }
    return Environment(**(fields | changes))


def dataset(complete: bool = True, **changes) -> DatasetInfo:
    fields = {
        "id": "synthetic",
        "keypoint_set": "coco_17",
        "images": 420 if complete else 20,
        "persons": 1040 if complete else 68,
        "annotations": "person_keypoints_val2017.json",
        "annotations_sha256": "cd" * 32,
        "complete": complete,
        "complete_by": "counts" if complete else None,
        "sample": None if complete else {"limit": 20, "order": "sha256_of_id"},
    }
    return DatasetInfo(**(fields | changes))


def evaluation(
    name: str = "demo_s",
    measured: float | None = 61.23,
    *,
    verdict: str = "reproduced",
    complete: bool = True,
    axes: tuple[str, ...] = (),
    minute: int = 0,
    **changes,
) -> Record:
    published = claim()
    interval = None if measured is None else (measured - 2.5, measured + 2.25)
    difference = None if measured is None else measured - published.value
    result = ClaimResult(
        claim=published,
        measured=measured,
        difference=difference,
        interval=interval,
        verdict=verdict,
        axes=axes,
        scores={"AP": measured},
    )
    used = protocol()
    fields = {
        "kind": "eval",
        "entry": entry(name, (published,)),
        "protocol": used,
        "protocol_hash": used.hash,
        "dataset": dataset(complete),
        "boxes": BoxInfo(source="gt", read=1100, used=1040, kept=1000),
        "scores": {"AP": measured, "AP50": 88.0, "AR": None},
        "intervals": {"AP": interval} if interval else {},
        "scorer": "pycocotools 2.0.11",
        "verdict": verdict,
        "claims": (result,),
        "execution": Execution.of(PLAIN),
        "coverage": 1.0,
        "checkpoint_name": "x.safetensors",
        "checkpoint_sha256": "ef" * 32,
        "environment": environment(),
        "command": f"posebench eval --model {name} --dataset synthetic",
        "created": datetime(2025, 1, 1, 12, minute, tzinfo=timezone.utc),
    }
    return Record(**(fields | changes))


def timing(name: str = "demo_s", persons_per_second: float = 900.0, **changes) -> Record:
    fields = {
        "kind": "speed",
        "entry": entry(name, (claim(),)),
        "timings": Timings(
            scope="forward",
            batch_size=64,
            seconds=(0.07, 0.071, 0.072),
            persons_per_second=persons_per_second,
            relative_iqr=0.02,
            device="cpu",
            threads=2,
            parameters=SIZES.get(name, 60_000),
        ),
        "execution": Execution.of(PLAIN),
        "checkpoint_sha256": "ef" * 32,
        "environment": environment(),
        "command": "posebench demo",
        "created": datetime(2025, 1, 1, 13, 0, tzinfo=timezone.utc),
    }
    return Record(**(fields | changes))


def speeds(count: int = 32) -> list[Record]:
    """Timings of as many claimed models of four zoos, on two machines."""
    made = []
    for number in range(count):
        zoo, name = ZOOS[number % 4], f"net_{number}"
        published = claim(f"{55 + 20 * (number % 17) / 16:.1f}", protocol="own@1")
        row = entry(name, (published,), zoo=zoo, dataset="coco", title=f"Net {number}")
        machine = ("an accelerator", "a processor")[number % 3 == 0]
        rate = 4000.0 / (1 + number % 17) * (0.05 if machine == "a processor" else 1.0)
        made.append(
            timing(
                name, rate, entry=row, cell=BenchmarkConfiguration(device="cpu", hardware=machine)
            )
        )
    return made


def many(count: int = 500) -> list[Record]:
    """As many records: evaluations with a claim each, every fourth a subset, and timings."""
    made = speeds(count // 2)
    for number, timed in enumerate(made[: count - len(made)]):
        whole, measured = number % 4 != 0, 60.0 + 20 * (number % 13) / 12
        verdict = "reproduced" if number % 3 else "differs"
        record = evaluation(
            timed.entry.id,
            measured,
            verdict=verdict if whole else "consistent (n=68)",
            complete=whole,
        )
        names = {"id": timed.entry.id, "zoo": timed.entry.zoo, "title": timed.entry.title}
        row = record.entry.model_copy(update=names)
        made.append(record.model_copy(update={"entry": row}))
    return made


def demo() -> list[Record]:
    """Three models of different size, evaluated and timed."""
    accuracy = {"demo_s": 61.23, "demo_m": 68.4, "demo_l": 74.9}
    speed = {"demo_s": 1400.0, "demo_m": 820.0, "demo_l": 410.0}
    return [
        *(evaluation(name, measured=value) for name, value in accuracy.items()),
        *(timing(name, value) for name, value in speed.items()),
    ]
