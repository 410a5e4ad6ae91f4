from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import jsonschema
import make_records as make
import pydantic
import pytest

from posebench.records import store
from posebench.records.schema import record_schema, schema_text
from posebench.types.dataset import Sample
from posebench.types.errors import UserError
from posebench.types.record import Skipped
from posebench.types.timing import Execution

pytestmark = pytest.mark.light
SCHEMA = Path(__file__).parents[2] / "docs" / "record.schema.json"
SCHEMAS = Path(__file__).parent / "schemas"


@pytest.mark.parametrize(
    "record",
    [
        make.evaluation(),
        make.evaluation(measured=None, verdict="no claim"),
        make.evaluation(complete=False, verdict="consistent (n=68)"),
        make.timing(),
        make.evaluation(timings=make.timing().timings),
    ],
    ids=["whole", "nothing measured", "subset", "timing", "both"],
)
def test_a_saved_record_reads_back_equal_and_fulfils_the_schema(tmp_path, record):
    path = store.save(record, tmp_path)

    assert store.load(path) == record
    jsonschema.validate(
        json.loads(path.read_text()),
        record_schema(),
        cls=jsonschema.Draft202012Validator,
    )


def test_the_schema_refuses_what_is_no_record(tmp_path):
    content = store.to_json(make.evaluation())
    for change in ({"scores": {"AP": "67"}}, {"surprise": 1}, {"schema_version": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content | change, record_schema())


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 12),
    reason="older pydantic words the same schema otherwise",
)
def test_the_committed_schema_is_current():
    assert SCHEMA.read_text() == schema_text(), "run `python -m posebench.records.schema`"


def test_the_path_says_what_was_measured():
    name = store.file_name(make.evaluation()).as_posix()

    assert name.startswith("demo/demo_s/synthetic/eval-demo_gt_flip@1-cpu-")
    assert len(name.removesuffix(".json").rpartition("-")[2]) == 8


def test_measuring_again_replaces_the_file_and_anything_else_gets_its_own(tmp_path):
    again = store.save(make.evaluation(minute=5, measured=61.24), tmp_path)
    assert store.save(make.evaluation(), tmp_path) == again

    unflipped = make.protocol("custom", flip=False)
    others = [
        make.evaluation(protocol=unflipped, protocol_hash=unflipped.hash),
        make.evaluation(checkpoint_sha256="00" * 32),
        make.evaluation(boxes=make.evaluation().boxes.model_copy(update={"source": "det.json"})),
        make.evaluation(dataset=make.dataset(complete=False)),
        make.evaluation(environment=make.environment(batch_size=32)),
        make.evaluation(environment=make.environment(device="cuda:0")),
        make.evaluation(name="demo_m"),
        make.timing(),
    ]
    paths = {store.save(record, tmp_path) for record in others}
    assert len(paths) == len(others)
    assert again not in paths
    assert all(":" not in path.name for path in paths)


def test_eight_measurements_are_eight_records(tmp_path):
    """What was measured, on what and by whom is in the name; when and by which version is not."""
    whole = make.evaluation()
    data = whole.dataset.model_copy(
        update={"image_ids_sha256": "1" * 64, "images_sha256": "2" * 64}
    )
    first = whole.model_copy(
        update={"dataset": data, "execution": Execution(requested="eager"), "hardware": "A100"}
    )
    folded = Execution(folded=True, requested="folded")
    onnx = Execution(runtime="onnxruntime", requested="onnxruntime")
    skipped = Skipped(images=1, annotations=0, persons=2, faults=("x.jpg cannot be decoded",))
    others = [
        {"dataset": data.model_copy(update={"sample": Sample(limit=20)})},
        {"dataset": data.model_copy(update={"images_sha256": "3" * 64})},
        {"dataset": data.model_copy(update={"image_ids_sha256": "4" * 64})},
        {"dataset": data.model_copy(update={"annotations_sha256": "6" * 64})},
        {"checkpoint_sha256": "7" * 64},
        {"environment": make.environment(batch_size=32)},
        {"protocol_hash": "8" * len(first.protocol_hash)},
        {"skipped": skipped},
        {"execution": folded},
        {"execution": onnx},
        {"hardware": "RTX 3090"},
        {"boxes": first.boxes.model_copy(update={"sha256": "5" * 64})},
        {"claims": ()},
        {"submitter": "somebody"},
    ]
    records = [first, *(first.model_copy(update=change) for change in others)]
    assert len({store.save(record, tmp_path) for record in records}) == len(records)

    again = {"execution": Execution(requested="auto"), "seconds": 3.0, "submitter": None}
    assert store.save(first.model_copy(update=again), tmp_path) == store.save(first, tmp_path)


@pytest.mark.parametrize("name", ["..", "../x", "/x", "", "a/../../b", "."])
def test_no_name_in_a_record_leads_out_of_the_folder(tmp_path, name):
    content = store.to_json(make.evaluation())
    for changed in (
        {"dataset": content["dataset"] | {"id": name}},
        {"entry": content["entry"] | {"id": name}},
        {"entry": content["entry"] | {"zoo": name}},
    ):
        with pytest.raises(UserError, match="not a valid record"):
            store.from_json(content | changed)
    protocol = make.protocol("x").model_copy(update={"name": name})
    odd = make.evaluation(protocol=protocol, environment=make.environment(device=name))
    assert store.save(odd, tmp_path / "in").is_relative_to(tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_record_of_an_earlier_run_can_be_kept(tmp_path):
    path = store.save(make.evaluation(), tmp_path)
    before = path.read_bytes()
    assert store.save(make.evaluation(measured=1.0), tmp_path, overwrite=False) == path
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["eval", "speed"])
def test_records_of_version_1_are_migrated_once(tmp_path, kind):
    folder = tmp_path / "demo" / "demo_s" / "synthetic"
    folder.mkdir(parents=True)
    old = folder / f"{kind}-x-cpu-00000000.json"
    shutil.copy(SCHEMAS / f"{kind}-1.json", old)
    broken = folder / f"{kind}-y-cpu-00000000.json"
    broken.write_text("{")

    done = store.migrate(tmp_path)

    assert [each.old for each in done] == [old, broken]
    assert done[1].new is None
    assert "not JSON" in done[1].problem
    assert not old.exists()
    record = store.load(done[0].new)
    assert json.loads(done[0].new.read_text())["schema_version"] == 2
    assert done[0].new == tmp_path / store.file_name(record)
    assert record.dataset is None or record.dataset.images_sha256 is None
    assert kind == "speed" or record.hardware is None
    assert [each.old for each in store.migrate(tmp_path)] == [broken], "a second time changes none"


def test_a_migrated_record_stays_in_the_folder_where_it_was(tmp_path):
    folder = tmp_path / "x" / "flat"
    folder.mkdir(parents=True)
    shutil.copy(SCHEMAS / "eval-1.json", folder / "eval-1.json")
    (done,) = store.migrate(folder)
    assert done.new.parent == folder
    assert [path.name for path in tmp_path.rglob("*.json")] == [done.new.name]
    assert store.load(done.new).entry.id == "demo_s"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("differs (n=85)", "outside the interval (n=85)"),
        ("consistent (n=68)", "consistent (n=68)"),
        ("contradicted (n=3)", "outside the interval (n=3)"),
        ("differs", "differs"),
        ("reproduced", "reproduced"),
    ],
)
def test_verdicts_of_version_1_are_read_in_the_new_words(old, new):
    content = json.loads((SCHEMAS / "eval-1.json").read_text())
    content["verdict"] = content["claims"][0]["verdict"] = old
    record = store.from_json(content)
    assert (record.verdict, record.claims[0].verdict) == (new, new)


def test_what_version_1_said_of_the_execution_is_kept(tmp_path):
    content = json.loads((SCHEMAS / "eval-1.json").read_text())
    assert store.from_json(content).execution == Execution()
    content["notes"] = ["form of the network: folded, channels-last (3 BatchNorms folded), within"]
    folded = Execution(folded=True, channels_last=True)
    assert store.from_json(content).execution == folded
    content["environment"]["device"] = "cuda:0"
    assert store.from_json(content).execution is None, "no one knows whether in TF32"
    content["dataset"]["limit"] = 4
    assert store.from_json(content).dataset.sample == Sample(limit=4, order="file")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("seconds", "3"), ("coverage", True), ("created", "2025-01-01T12:00:00"),
        ("verdict", 3), ("notes", "text"), ("dataset", []), ("claims", {}), ("entry", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [1, 2])
def test_nothing_in_a_record_is_converted(place, value, version):
    content = json.loads((SCHEMAS / f"eval-{version}.json").read_text())
    with pytest.raises(UserError, match="not a valid record"):
        store.from_json(content | {place: value})


def test_numbers_json_does_not_know_become_none(tmp_path):
    nan = float("nan")
    record = make.evaluation(
        scores={"AP": 61.0, "APM": nan, "APL": float("inf")},
        intervals={"AP": (60.0, 62.0), "APM": (nan, nan)},
    )

    path = store.save(record, tmp_path)

    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()
    read = store.load(path)
    assert read.scores == {"AP": 61.0, "APM": None, "APL": None}
    assert read.intervals == {"AP": (60.0, 62.0)}


@pytest.mark.parametrize("strange", ["\ud800", "\udfff.jpg", "a\udce9b"])
def test_no_name_keeps_a_record_from_being_written(tmp_path, strange):
    """Half of a surrogate pair, as names have that are not UTF-8, stays readable as its escape."""
    record = make.evaluation(notes=(f"skipped {strange}",))
    told = store.load(store.save(record, tmp_path)).notes
    assert told == (f"skipped {strange}".encode(errors="backslashreplace").decode(),)
    json.dumps(store.to_json(record), ensure_ascii=False).encode()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = store.save(make.evaluation(), tmp_path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        store.save(make.evaluation(measured=1.0), tmp_path)

    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path):
    records = make.demo()
    store.save_all(records, tmp_path)
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "coco.json").write_text("[]")

    read = store.load_records(tmp_path)

    assert sorted(r.model_dump_json() for r in read) == sorted(r.model_dump_json() for r in records)
    assert [r.entry.id for r in read] == sorted(r.entry.id for r in records)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ('{"schema_version": 1, "kind"', "is not JSON"),
        ("[]", "is not a posebench record"),
        ("{}", "is not a posebench record"),
        ('{"schema_version": true}', "schema version True"),
        ('{"schema_version": 2.0}', "schema version 2.0"),
        ('{"schema_version": 99}', "schema version 99, this posebench reads 1"),
        ('{"schema_version": 0}', "schema version 0, this posebench reads 1"),
        ('{"schema_version": 2, "kind": "eval"}', "entry: Field required"),
    ],
)
def test_what_is_no_record_is_named_with_its_file(tmp_path, text, words):
    path = tmp_path / "eval-x-cpu-00000000.json"
    path.write_text(text)

    with pytest.raises(UserError, match=words) as caught:
        store.load_records(tmp_path)

    assert path.name in caught.value.message
    assert caught.value.hint


def test_a_missing_or_empty_folder_says_how_to_get_records(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        store.load_records(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no records below") as caught:
        store.load_records(tmp_path)
    assert "posebench" in caught.value.hint
    with pytest.raises(UserError, match="There is no record"):
        store.load(tmp_path / "eval-x.json")
