"""Every reader of files from outside, by the kind of file; light ones import nothing heavy."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Reader = Callable[[Path], Any]

# What a zoo file speaks of.
PROTOCOLS = """
hrnet_det56@1: {boxes: gt, sanitise: none, flip: true, shift: true, decode: quarter,
  rescoring: box_times_mean_visible, nms: oks}
"""
DATASETS = """
coco: {title: C, keypoints: coco_17, reader: coco, official_scorer: coco_oks, licence: none,
  annotation_file: a.json, image_folder: a, how_to_get: ask}
"""


def weights(path: Path) -> Any:
    from posebench.checkpoints import read_checkpoint

    return read_checkpoint(path)


def annotations(name: str, keypoints: str) -> Reader:
    def read(path: Path) -> Any:
        from posebench.datasets.readers import READERS

        return READERS[name](path, path.parent, dataset_id="coco", keypoint_set=keypoints)

    return read


def tolerant(name: str, keypoints: str) -> Reader:
    """As ``eval`` reads: single rows may be bad."""

    def read(path: Path) -> Any:
        from posebench.datasets.readers import READERS

        return READERS[name](
            path, path.parent, dataset_id="coco", keypoint_set=keypoints, tolerant=True
        )

    return read


def boxes(path: Path) -> Any:
    from posebench.datasets.detections import read_detections

    return read_detections(path, one_image())


def results(path: Path) -> Any:
    from posebench.analysis.results_file import read_results

    return read_results(path, one_image())


def one_image() -> Any:
    import numpy as np

    from posebench.types.arrays import Dataset, GroundTruth, Images

    one = np.ones(1, np.int64)
    images = Images(one, ("a.jpg",), one * 64, one * 48, Path())
    truth = GroundTruth(
        one, one, np.ones((1, 4)), np.ones(1), np.ones((1, 17, 3)), one * 17, one < 0, one < 0
    )
    return Dataset("coco", "coco_17", images, truth, 1, "a.json", "0" * 64, False)


def matlab(path: Path) -> Any:
    from posebench.datasets.mpii import read_heads

    return read_heads(path.read_bytes(), path)


def image(path: Path) -> Any:
    from posebench.inference.image_io import read_image

    return read_image(path, "apply", (64, 48))


def yaml(path: Path) -> Any:
    from posebench.registry.loader import registry_of

    with tempfile.TemporaryDirectory() as folder:
        zoos = Path(folder) / "zoos"
        zoos.mkdir()
        (Path(folder) / "protocols.yaml").write_text(PROTOCOLS)
        (Path(folder) / "datasets.yaml").write_text(DATASETS)
        (zoos / "nasty.yaml").write_bytes(path.read_bytes())
        return registry_of(Path(folder))


def dataset(path: Path) -> Any:
    from posebench.registry.loader import registry_of

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "datasets.yaml").write_bytes(path.read_bytes())
        return registry_of(Path(folder)).dataset("mini")


def record(path: Path) -> Any:
    from posebench.records.store import load

    return load(path)


def predictions(path: Path) -> Any:
    from posebench.records.predictions import load_predictions

    return load_predictions(path)


def archive(path: Path) -> Any:
    from posebench.downloads.unpack import unpack_archive

    with tempfile.TemporaryDirectory() as folder:
        return unpack_archive(path, Path(folder) / "data", "a.json")


READERS: dict[str, Reader] = {
    "torch": weights,
    "mxnet": weights,
    "paddle": weights,
    "safetensors": weights,
    "coco": annotations("coco", "coco_17"),
    "boxes": boxes,
    "results": results,
    "mpii": annotations("mpii", "mpii_16"),
    "mat": matlab,
    "image": image,
    "yaml": yaml,
    "dataset": dataset,
    "record": record,
    "predictions": predictions,
    "archive": archive,
}
NEEDS_TORCH = ("torch", "mxnet", "paddle", "safetensors", "image")
# What only the fuzzer spoils: layouts that convert to COCO's, and single rows that may be bad.
FUZZED: dict[str, Reader] = READERS | {
    "halpe": annotations("halpe", "halpe_136"),
    "wholebody": annotations("wholebody", "wholebody_133"),
    "hands": tolerant("hands", "hand_21"),
    "coco": tolerant("coco", "coco_17"),
    "mpii": tolerant("mpii", "mpii_16"),
}
