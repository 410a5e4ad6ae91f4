"""A separate package adds a network family, a dataset with its own metric, and a runtime."""

from __future__ import annotations

import doctest
import json
import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import dots
import make
import numpy as np
import pytest
import torch
from plug_points import install

from posebench.datasets.coco import load_coco
from posebench.datasets.readers import READERS, read_annotations
from posebench.evaluation.protocols import official_beside, requested_protocols
from posebench.inference.merge import decode_merged
from posebench.inference.plugin_tables import DECODERS, RUNTIMES, Runtime
from posebench.inference.runtimes import as_runtime, check_installed
from posebench.keypoints import KEYPOINT_SETS, KeypointSet, keypoint_set
from posebench.networks import NETWORKS, NetworkFamily, build_network
from posebench.records.formatting import describe_protocol
from posebench.records.store import load
from posebench.registry import load_registry, shipped_registry
from posebench.scoring.plugin_tables import SCORERS
from posebench.scoring.scorers import Measured, measured_ratios, score
from posebench.types.errors import UserError
from posebench.types.network_arguments import Signature, Whole

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "plugins.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder that the test package is installed in."""
    return dots.install(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return dots.draw(tmp_path_factory.mktemp("data") / "dots")


def posebench(cwd, *words, sites):
    return dots.run(cwd, "-m", "posebench", *words, sites=sites)


def words_of(done) -> str:
    """What was said on standard error, as if on one line."""
    return " ".join(done.stderr.split())


def evaluated(cwd, site, data, *words):
    where = ("--data-root", data, "--output", cwd / "runs", "--batch-size", 8)
    done = posebench(cwd, "eval", "dots_10", *where, "--json", *words, sites=(site,))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- the package ----------------------------------------------------------------------------------


def test_its_model_is_listed_without_torch(site, tmp_path):
    code = (
        "import sys; from posebench.cli.main import main; assert main(['list', 'dots']) == 0;"
        "sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    )
    done = dots.run(tmp_path, "-c", code, sites=(site,))
    assert done.returncode == 0, done.stderr
    assert re.search(r"dots/dots_10 +dots +64x64 +PCK@0\.1 100\.0 +runnable", done.stdout)
    assert posebench(tmp_path, "list", "dots", sites=()).returncode == 2


def test_it_is_evaluated_with_its_reader_decoder_and_metric(site, data, tmp_path):
    found = evaluated(tmp_path, site, data)
    expected = 100 * (1 - dots.WRONG / dots.IMAGES)
    assert found["scores"] == {
        "PCK@0.1": (100 + expected) / 2,
        "red/PCK@0.1": 100,
        "blue/PCK@0.1": expected,
    }
    low, high = found["intervals"]["PCK@0.1"]
    assert 75 < low < 87.5 < high < 97
    assert found["scorer"] == "dots_pck 1, posebench-dots 0.1"
    assert found["notes"] == ["network dots of posebench-dots 0.1"]
    assert found["dataset"]["persons"] == dots.IMAGES
    assert found["claims"][0]["measured"] == 87.5
    assert found["claims"][0]["verdict"].startswith("outside the interval")
    # a record is read, and its protocol described, where the package is not installed
    record = load(Path(found["file"]))
    assert "dots_pck" not in SCORERS
    assert "dots mean" in describe_protocol(record.protocol)


def test_another_decoder_can_be_chosen(site, data, tmp_path):
    found = evaluated(tmp_path, site, data, "--decode", "argmax")
    assert found["protocol"]["decode"] == "argmax"
    assert found["scores"]["red/PCK@0.1"] == 100


def test_its_runtime_computes_the_same(site, data, tmp_path):
    found = evaluated(tmp_path, site, data, "--runtime", "torchscript")
    assert found["scores"]["PCK@0.1"] == 87.5
    assert found["execution"]["runtime"] == "torchscript"
    assert any("computed by torchscript 2" in note for note in found["notes"])
    assert load(Path(found["file"])).execution.runtime == "torchscript"


def test_its_runtime_can_be_timed(site, tmp_path):
    code = (
        "from posebench.types.request import SpeedRequest\n"
        "from posebench.adapters import random_model\n"
        "from posebench.inference.forms import in_form\n"
        "from posebench import find_entry\n"
        "form = SpeedRequest(models=('dots_10',), runtime='torchscript').form\n"
        "model = random_model(find_entry('dots_10'))\n"
        "print(in_form(model, form, batch_size=2, threads=1).notes[-1])\n"
    )
    done = dots.run(tmp_path, "-c", code, sites=(site,))
    assert done.stdout.startswith("form of the network: torchscript (computed by torch"), (
        done.stderr
    )
    help_text = posebench(tmp_path, "speed", "--help", sites=(site,)).stdout
    assert "torchscript" in help_text


ROW = """
zoo: mine
title: Mine
licence: none
pages: {{}}
inputs: {{small: {{size: {size}, keypoints: {keypoints}}}}}
rows:
  - id: mine_dots
    title: Mine
    dataset: {dataset}
    network: {{name: {network}, arguments: {arguments}}}
    input: small
    file: {{container: none}}
"""


def mine(folder, **changes):
    values = {"size": [64, 64], "keypoints": "dots_2", "dataset": "dots", "network": "dots"}
    (folder / "zoos").mkdir(parents=True)
    text = ROW.format(**values | {"arguments": "{gain: 5}"} | changes)
    (folder / "zoos" / "mine.yaml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arguments": "{gain: 1000}"}, "zoos/mine.yaml:11: row mine_dots: dots cannot have gain "
         "1000: it is a whole number from 1 to 100."),
        ({"arguments": "{}"}, "dots needs the argument gain"),
        ({"size": [62, 64]}, "dots cannot take an input of 62x64: both sides are multiples of 4"),
    ],
)  # fmt: skip
def test_rows_of_its_network_have_its_bounds(site, tmp_path, changes, said):
    folder = mine(tmp_path / "rows", **changes)
    done = posebench(tmp_path, "list", "--registry", folder, sites=(site,))
    assert done.returncode == 2
    assert said in words_of(done)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--decode", "dots_men"), "'dots_men' is not known. Did you mean dots_mean?"),
        (("--scorer", "dot_pck"), "'dot_pck' is not known. Did you mean dots_pck?"),
        (("--runtime", "torchscrpt"), "'torchscrpt' is not known. Did you mean torchscript?"),
    ],
)
def test_a_typo_in_an_option_is_told(site, data, tmp_path, words, said):
    done = posebench(tmp_path, "eval", "dots_10", "--data-root", data, *words, sites=(site,))
    assert done.returncode == 2
    assert said in words_of(done)


def test_a_clash_of_two_packages_names_both(site, tmp_path):
    other = dots.offer(tmp_path / "other", "more-dots", {"networks:dots": "more_dots:NETWORK"})
    done = posebench(tmp_path, "list", sites=(site, other))
    assert done.returncode == 2
    assert (
        "The network 'dots' of posebench-dots 0.1 is already registered by more-dots 2.0."
        in words_of(done)
    )
    assert "Traceback" not in done.stderr


def test_a_broken_package_stops_what_needs_it_alone(tmp_path):
    broken = dots.offer(
        tmp_path / "broken", "broken-dots", {"networks:dots": "broken_dots:NETWORK"},
        broken_dots="import not_there_at_all\n",
    )  # fmt: skip
    assert posebench(tmp_path, "list", sites=(broken,)).returncode == 0
    folder = mine(tmp_path / "rows", keypoints="coco_17", dataset="coco")
    done = posebench(tmp_path, "list", "--registry", folder, sites=(broken,))
    assert done.returncode == 2
    assert (
        "The network 'dots' of broken-dots 2.0 cannot be loaded from broken_dots:NETWORK: "
        "ModuleNotFoundError: No module named 'not_there_at_all'. Update or uninstall broken-dots."
        in words_of(done)
    )


def test_the_page_shows_the_package_as_it_is():
    blocks = re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    files = [
        path for path in sorted(dots.PACKAGE.rglob("*")) if path.suffix in (".py", ".toml", ".yaml")
    ]
    assert dict(blocks) == {
        path.relative_to(dots.PACKAGE).as_posix(): path.read_text() for path in files
    }


@pytest.mark.parametrize(
    "module",
    [
        "network_families",
        "networks",
        "keypoints",
        "inference.plugin_tables",
        "scoring.scorers",
    ],
)
def test_the_examples_of_the_docstrings(module):
    failed, tried = doctest.testmod(import_module(f"posebench.{module}"))
    assert (failed, tried > 0) == (0, True)


# --- what packages can get wrong ------------------------------------------------------------------


@pytest.fixture
def offered(monkeypatch):
    """Let a package offer one object by the name ``mine``."""

    def offer(table, value, name="mine"):
        module = ModuleType("elsewhere")
        module.value = value
        monkeypatch.setitem(sys.modules, "elsewhere", module)
        install(monkeypatch, table, (name, "elsewhere:value", "some-package"))

    return offer


def refused(call):
    with pytest.raises(UserError) as caught:
        call()
    assert "some-package 1.0" in caught.value.message
    assert "\n" not in str(caught.value)
    return caught.value.message


def raising(*_, **__):
    raise RuntimeError("out of luck\nand more")


@pytest.mark.parametrize(
    ("family", "said"),
    [
        (torch.nn.Identity, "is of type type, not a posebench.network_families.NetworkFamily"),
        (NetworkFamily("a:b", {"width": Whole(1, 2)}), "its arguments are of type dict"),
        (NetworkFamily("a:b", Signature({}), stride=0), "its stride is 0"),
        (NetworkFamily("a:b", Signature({}), stride=True), "its stride is True"),
        (NetworkFamily("a:b", Signature({}, multiple=0)), "inputs of multiples of 0"),
        (NetworkFamily("a:b", Signature({}, ("width",))), "requires the argument 'width'"),
        (NetworkFamily("no_such_:b", Signature({})), "cannot be built: ModuleNotFoundError"),
        (NetworkFamily(raising, Signature({})), "cannot be built: RuntimeError: out of luck."),
        (NetworkFamily(dict, Signature({})), "is of type dict, not a torch.nn.Module"),
    ],
)
def test_a_network_that_is_none(offered, family, said):
    offered(NETWORKS, family)
    assert said in refused(lambda: build_network("mine"))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (KeypointSet("other", ("a",), (), ()), "it calls itself 'other'"),
        (KeypointSet("mine", ("a", "a"), (), ()), "two have the same one"),
        (KeypointSet("mine", (), (), ()), "have no names"),
        (KeypointSet("mine", ("a", "b"), ((0, 2),), ()), "flip pair (0, 2) is not two of its 2"),
        (KeypointSet("mine", ("a", "b"), (), (), ((0, -1),)), "line (0, -1) is not two of its 2"),
        (KeypointSet("mine", ("a", "b", "c"), ((0, 1), (1, 2)), ()), "in two of its flip pairs"),
        (KeypointSet("mine", ("a", "b"), (), (0.1,)), "sigmas are not 2 positive numbers"),
        (KeypointSet("mine", ("a", "b"), (), (0.1, 0.0)), "sigmas are not 2 positive numbers"),
    ],
)
def test_a_keypoint_set_that_is_none(offered, found, said):
    offered(KEYPOINT_SETS, found)
    assert said in refused(lambda: keypoint_set("mine"))


def test_the_shipped_keypoint_sets_pass_the_same_checks(offered):
    for name in KEYPOINT_SETS.built_in:
        copy = replace(keypoint_set(name), name="mine")
        offered(KEYPOINT_SETS, copy)
        assert keypoint_set("mine") is copy


def test_a_reader_that_gives_something_else(offered, tmp_path):
    root = make.write_coco(tmp_path)
    file = root / "annotations" / "person_keypoints_val2017.json"
    given = load_coco(file, root, dataset_id="coco", keypoint_set="coco_17")
    names = {"dataset_id": given.id, "keypoint_set": given.keypoint_set}

    def read(value):
        offered(READERS, lambda *_, **__: value)
        return read_annotations("mine", tmp_path, tmp_path, **names)

    assert read(given) is given
    truth, images = given.truth, given.images
    cases = {
        "an object of type dict, not a Dataset": {},
        "not coco with coco_17": replace(given, keypoint_set="mpii_16"),
        "keypoints of shape": replace(given, truth=replace(truth, keypoints=truth.keypoints[1:])),
        "boxes of shape": replace(given, truth=replace(truth, box=truth.box[:, :2])),
        "image ids of shape": replace(given, images=replace(images, id=images.id[1:])),
        "which it does not have": replace(given, images=replace(images, id=images.id + 10**6)),
    }
    for said, value in cases.items():
        assert said in refused(lambda value=value: read(value))


def test_a_decoder_that_gives_something_else(offered):
    maps = torch.rand(2, 17, 8, 6)
    protocol = make.protocol(decode="mine", flip=False)
    cells, scores = torch.zeros(2, 17, 2), torch.zeros(2, 17)

    def decode(value):
        offered(DECODERS, lambda heatmaps, protocol: value)
        return decode_merged(maps, None, protocol, keypoint_set("coco_17"))

    assert decode((cells, scores))[0] is cells
    for value, said in (
        (cells, "an object of type Tensor, not cells (2, 17, 2) and joint scores (2, 17)"),
        ((cells, scores.tolist()), "an object of type tuple"),
        ((scores, cells), "gave (2, 17) and (2, 17, 2), not cells"),
        ((cells.long(), scores), "torch.int64 on cpu and torch.float32 on cpu"),
    ):
        assert said in refused(lambda value=value: decode(value))


def world():
    import random_persons

    found = random_persons.sample("coco_17", 0)
    return random_persons.results(found), random_persons.dataset(found)


def test_a_scorer_that_gives_something_else(offered):
    results, dataset = world()
    protocol = make.protocol(scorer="mine")

    def scored(*parts):
        offered(SCORERS, lambda *_: Measured(*parts, "rules", 1, 1) if parts else {})
        return score(results, dataset, protocol)

    draws = np.linspace(0, 100, 1000)
    found = scored({"M": 50.0}, {"M": draws})
    assert found.scorer == "rules, some-package 1.0"
    assert found.intervals["M"] == pytest.approx((2.5, 97.5))
    for parts, said in (
        ((), "gave an object of type dict, not Measured"),
        (({"M": "50"}, {}), "the metric 'M' of type str, not a number"),
        (({}, {}), "gave no metric"),
        (({"M": 50.0}, {"N": draws}), "values of N for other images, and none for all"),
        (({"M": 50.0}, {"M": draws[:9]}), "of shape (9,), not (1000,)"),
    ):
        assert said in refused(lambda parts=parts: scored(*parts))
    offered(SCORERS, lambda *_: Measured({"M": 1.0}, {"M": draws}, "rules", 1, 1))
    unasked = lambda: score(results, dataset, protocol, with_intervals=False)  # noqa: E731
    assert "which no one asked for" in refused(unasked)


def test_ratios_are_sums_over_images_not_means_of_ratios():
    counts = {"M": (np.array([1.0, 2.0, 0.0]), np.array([1.0, 5.0, 0.0]))}
    weights = np.array([[1.0, 2, 0], [1, 0, 0], [1, 1, 3]])
    found = measured_ratios(counts, weights, scorer="m", persons=6, images=2)
    assert found.values == {"M": 50.0}
    np.testing.assert_array_equal(found.draws["M"], [50.0, 100.0, np.nan])


def test_a_runtime_that_gives_something_else(offered):
    model = make.probe_model()
    right = np.zeros((2, 17, 16, 12), np.float32)

    def computed(value):
        offered(RUNTIMES, Runtime(lambda *_: (lambda x: value, "mine 1")))
        return as_runtime(model, "mine", 2, 1)(torch.zeros(2, 3, 64, 48))

    assert computed(right).shape == right.shape
    for value, said in (
        (right.tolist(), "mine 1 gave list, not a float32 array"),
        (right.astype(float), "mine 1 gave float64, not a float32 array"),
        (right[:1], r"gave an array of shape (1, 17, 16, 12) for 2 crops"),
    ):
        with pytest.raises(UserError) as caught:
            computed(value)
        assert said in caught.value.message
    offered(RUNTIMES, Runtime(raising))
    message = refused(lambda: as_runtime(model, "mine", 2, 1))
    assert "cannot take test/probe: RuntimeError: out of luck." in message
    offered(RUNTIMES, Runtime(raising, packages=("not_there_",)))
    with pytest.raises(UserError, match="--runtime mine needs not_there_, which is not") as caught:
        check_installed("mine")
    assert caught.value.hint == "Install not_there_."


# --- where names are checked ----------------------------------------------------------------------


def test_every_shipped_protocol_and_dataset_names_what_posebench_has():
    registry = shipped_registry()
    for protocol in registry.protocols.values():
        assert (
            DECODERS.known(protocol.decode) not in DECODERS or protocol.decode in DECODERS.built_in
        )
        assert protocol.scorer in SCORERS.built_in
    for spec in registry.datasets.values():
        assert spec.official_scorer in SCORERS.built_in
        assert spec.reader in READERS.built_in
        assert spec.keypoints in KEYPOINT_SETS.built_in


def test_an_unknown_decoder_or_scorer_is_refused_when_it_is_requested():
    registry = load_registry()
    entry = registry.find("demo/demo_s")
    for axis, wrong, near in (("decode", "quater", "quarter"), ("scorer", "coco_ok", "coco_oks")):
        with pytest.raises(UserError) as caught:
            requested_protocols(entry, registry, "claim", {axis: wrong})
        kind = "decoder" if axis == "decode" else "scorer"
        assert str(caught.value) == f"Unknown {kind} {wrong!r}. Did you mean {near}?"
    spec = registry.dataset("coco").model_copy(update={"official_scorer": "coco_ok"})
    with pytest.raises(UserError, match="Unknown scorer 'coco_ok'"):
        official_beside(spec, ())
