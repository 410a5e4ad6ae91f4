"""posebench beside OpenMMLab's own test loop, from one run: persons/s and ratios.

    python benchmarks/openmmlab.py data --data-root coco
    python benchmarks/openmmlab.py eval --data-root coco

``data`` times reading, cropping and normalising 2,000 persons with ground-truth boxes against
mmpose's DataLoader with as many workers as we have threads, with each image's boxes and with the
boxes repeated to 30 an image.  ``eval`` times LiteHRNet-18 with flip from images to scores:
mmpose's ``Runner.test`` and ``posebench eval`` in alternation, ours with mmpose's very network and
weights, with our network, and with our network in its faster exact forms.  Needs the environment of
``docs/mmpose.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from eval_pipeline import FORMS, alternate, crowd, data_stages, report

from posebench.datasets.boxes import ground_truth_persons
from posebench.evaluation.data import open_dataset
from posebench.evaluation.outcome import evaluate_protocols
from posebench.evaluation.prepare import Prepared, load_entry
from posebench.inference.forms import in_form
from posebench.inference.predict import Options
from posebench.mmpose.networks import READ, MMPoseNetwork
from posebench.mmpose.stand_ins import stand_in
from posebench.registry import load_registry
from posebench.types.arrays import Dataset, Persons
from posebench.types.model import PoseModel
from posebench.types.request import DataPaths

SPLIT = "person_keypoints_val2017"
CONFIG = "body_2d_keypoint/topdown_heatmap/coco/td-hm_litehrnet-18_8xb64-210e_coco-256x192.py"
MODEL = "lite_hrnet_18_256x192_coco"


def their_config(root: Path, batch: int, workers: int, folder: Path) -> Any:
    """Give mmpose's configuration for its own test loop over ground-truth boxes of ``root``."""
    import mmpose
    from mmengine.config import Config

    annotations = str(root / "annotations" / f"{SPLIT}.json")
    config = Config.fromfile(Path(mmpose.__file__).parent / ".mim" / "configs" / CONFIG)
    loader = config.test_dataloader
    loader.update(batch_size=batch, num_workers=workers, persistent_workers=workers > 0)
    loader.dataset.update(data_root="", ann_file=annotations, bbox_file=None, serialize_data=False)
    loader.dataset.data_prefix = {"img": str(root / "val2017") + "/"}
    config.test_evaluator.ann_file = annotations
    config.model.backbone.init_cfg = None
    config.visualizer = {"type": "mmengine.Visualizer"}
    del config.default_hooks.visualization
    config.work_dir, config.launcher, config.log_level = str(folder), "none", "ERROR"
    return config


def more_persons(root: Path, count: int, folder: Path) -> Path:
    """A dataset in ``folder`` that shows the persons of ``root`` again and again, up to ``count``.

    Both sides then work on full batches; ours pads the last one.
    """
    source = json.loads((root / "annotations" / f"{SPLIT}.json").read_text())
    usable = [a for a in source["annotations"] if a["num_keypoints"] and not a["iscrowd"]]
    images = {image["id"]: image for image in source["images"]}
    shown: dict[tuple[int, int], int] = {}
    annotations = []
    for number in range(count):
        again, which = divmod(number, len(usable))
        own = usable[which]
        image = shown.setdefault((again, own["image_id"]), len(shown) + 1)
        annotations.append({**own, "id": number + 1, "image_id": image})
    repeated_images = [{**images[own], "id": image} for (_, own), image in shown.items()]
    found = {**source, "images": repeated_images, "annotations": annotations}
    (folder / "annotations").mkdir()
    (folder / "annotations" / f"{SPLIT}.json").write_text(json.dumps(found))
    (folder / "val2017").symlink_to((root / "val2017").resolve())
    return folder


def repeated(infos: list[Any], dataset: Dataset, persons: Persons) -> list[Any]:
    """Give mmpose's dataset the boxes that ``dataset`` and ``persons`` were repeated to."""
    by_image: dict[str, list[Any]] = {}
    for info in infos:
        by_image.setdefault(Path(info["img_path"]).name, []).append(info)
    names = [dataset.images.file_name[int(image)] for image in persons.image_index]
    return [by_image[name][k % len(by_image[name])] for k, name in enumerate(names)]


def their_loader(config: Any, dataset: Dataset, persons: Persons) -> Callable[[], None]:
    """Run through mmpose's DataLoader and its preprocessor."""
    from mmengine.runner import Runner
    from mmpose.registry import DATASETS, MODELS

    own = DATASETS.build(config.test_dataloader.dataset)
    own.data_list = repeated(own.data_list, dataset, persons)
    loader = Runner.build_dataloader({**config.test_dataloader, "dataset": own})
    preprocess = MODELS.build(config.model.data_preprocessor)

    def read() -> None:
        count = sum(len(preprocess(batch, False)["inputs"]) for batch in loader)
        assert count == len(persons), (count, len(persons))

    return read


def evaluations(
    config: Any, dataset: Dataset, sources: DataPaths, options: Options, forms: list[str]
) -> dict[str, Callable[[], Any]]:
    """``Runner.test`` and our evaluation, with each network."""
    from mmengine.runner import Runner

    registry = load_registry()
    entry = registry.find(MODEL, "coco")
    # flipped maps merged and shifted, a quarter cell towards the neighbour, boxes of the ground
    # truth: what mmpose's configuration says
    protocol = registry.protocol("hrnet_det56").with_choices(
        boxes="gt", sanitise="clip_before_width"
    )
    runner = Runner.from_cfg(config)
    runner.model.eval()
    runner.test()  # what it builds at first use is not timed
    theirs = MMPoseNetwork(runner.model, READ["heatmaps"])
    plain = load_entry(entry, allow_random=True)
    networks: dict[str, PoseModel] = {
        "posebench eval, mmpose's network": replace(plain, network=theirs.eval())
    }
    for name in forms:
        form = FORMS[name]
        networks[f"posebench eval, {form.words}"] = in_form(
            plain, form, batch_size=options.batch_size, threads=options.threads
        )
    stages: dict[str, Callable[[], Any]] = {"mmpose Runner.test": runner.test}
    for name, model in networks.items():
        job = Prepared(model, dataset, registry.dataset("coco"), sources, options)
        stages[name] = lambda job=job: evaluate_protocols(job, [protocol])
    return stages


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["data", "eval"])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--persons", type=int, help="default 2000 (data) or 256 (eval)")
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--forms", nargs="*", choices=sorted(FORMS), default=["plain", "fast"])
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    stand_in()
    # drawing, which is not timed, needs torchvision, which has no build for every torch
    sys.modules.setdefault("mmpose.visualization", types.ModuleType("mmpose.visualization"))
    import mmpose.datasets
    import mmpose.evaluation
    import mmpose.models  # noqa: F401 - registers what configurations name
    from mmengine.registry import init_default_scope

    init_default_scope("mmpose")
    registry = load_registry()
    options = Options("cpu", asked.batch_size, asked.threads)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = asked.data_root
        if asked.what == "eval":
            root = more_persons(root, asked.persons or 256, Path(folder))
        config = their_config(root, asked.batch_size, asked.threads, Path(folder) / "work")
        sources = DataPaths(root)
        dataset = open_dataset(registry.dataset("coco"), sources, SPLIT)
        if asked.what == "data":
            spec = registry.find(MODEL, "coco").input
            persons = ground_truth_persons(dataset, spec, "clip_before_width")
            for name, each in (("boxes as they are", None), ("30 boxes an image", 30)):
                print(name)
                some = crowd(dataset, persons, asked.persons or 2000, each)
                stages = {
                    "posebench": data_stages(*some, spec, options)["posebench"],
                    "mmpose DataLoader": their_loader(config, *some),
                }
                result = alternate(stages, len(some[1]), asked.alternations)
                found[name] = report(result, "mmpose DataLoader")
        else:
            stages = evaluations(config, dataset, sources, options, asked.forms)
            result = alternate(stages, asked.persons or 256, asked.alternations)
            found["evaluation"] = report(result, "mmpose Runner.test")
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
