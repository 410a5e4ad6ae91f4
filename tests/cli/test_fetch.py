"""fetch, cache and doctor, as somebody types them; nothing here reaches the internet."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import subprocess
import sys
import threading
import zipfile
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save
from server import Answer, Server, page

from posebench.api import doctor
from posebench.cli import main as cli
from posebench.cli.fetch import describe_size
from posebench.downloads.plan import Item, Settings, ensure_checkpoint
from posebench.install import install_command
from posebench.registry import load_registry
from posebench.types.errors import UserError

BODY = save({"weight": torch.randn(3000, generator=torch.Generator().manual_seed(1))})
ROW = """
  - id: {name}
    title: {name}
    dataset: synthetic
    network: {{name: demo, arguments: {{width: 12, depth: 1, joints: 17}}}}
    input: probe
    protocol: demo_gt_flip@1
    file: {{container: safetensors, {file}}}
"""


@pytest.fixture
def server(server, monkeypatch, tmp_path) -> Server:
    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("POSEBENCH_DATA", raising=False)
    original = socket.create_connection

    def here_only(address, *rest, **options):
        assert address[0] == "127.0.0.1", f"a test asked for {address}"
        return original(address, *rest, **options)

    monkeypatch.setattr(socket, "create_connection", here_only)
    return server


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "further"
    (made / "zoos").mkdir(parents=True)
    return made


def zoo(folder: Path, **files: str) -> Path:
    rows = "".join(ROW.format(name=name, file=file) for name, file in files.items())
    inputs = "inputs:\n  probe: {size: [128, 96]}\n"
    text = f"zoo: probe\ntitle: probe\nlicence: MIT\n{inputs}rows:{rows}"
    (folder / "zoos" / "probe.yaml").write_text(text)
    return folder


def run(capsys, *words: object) -> tuple[int, str, str]:
    status = cli.main([str(word) for word in words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_a_model_is_fetched_once_and_listed(server, folder, capsys):
    url = server.put("/one.safetensors", BODY)
    zoo(folder, one=f"location: '{url}', licence: MIT")
    words = ("fetch", "one", "--registry", folder)
    status, out, err = run(capsys, *words)
    assert status == 0
    assert "probe.one" in out and "fetched" in out and "1 fetched." in out
    assert "licence of probe.one: MIT" in err
    status, out, err = run(capsys, *words, "--json")
    (file,) = json.loads(out)["files"]
    assert status == 0 and file["state"] == "there" and err == ""
    assert Path(file["file"]).read_bytes() == BODY
    assert len(server.requests) == 1

    status, out, _ = run(capsys, "cache", "list", "--json")
    (held,) = json.loads(out)["files"]
    assert (held["id"], held["sha256"]) == ("probe.one", file["sha256"])
    status, out, _ = run(capsys, "cache", "verify")
    assert status == 0 and "probe.one" in out and "ok" in out


def test_a_dry_run_adds_up_what_the_servers_say_and_fetches_nothing(server, folder, capsys):
    one, two = server.put("/one", BODY), server.put("/two", Answer(BODY * 2))
    silent = server.put("/three", Answer(BODY, chunked=True))
    zoo(
        folder,
        one=f"location: '{one}', licence: MIT",
        two=f"location: '{two}', licence: non-commercial",
        three=f"location: '{silent}'",
        four="location: 'gdrive:abc', size: 1000",
        five="note: who knows",
    )
    words = ("fetch", "--zoo", "probe", "--registry", folder, "--dry-run")
    status, out, err = run(capsys, *words)
    assert status == 0 and err == ""
    total = len(BODY) * 3 + 1000
    assert f"4 files to fetch: {total:,} bytes ({describe_size(total)})" in out
    assert "and 1 files of unknown size." in out
    assert "by hand" in out and "No one published it" in out
    content = json.loads(run(capsys, *words, "--json")[1])
    assert (content["bytes_to_fetch"], content["sizes_unknown"]) == (total, 1)
    assert server.sent == 0


def test_some_licences_need_a_yes(server, folder, capsys, monkeypatch):
    url = server.put("/one", BODY)
    zoo(folder, one=f"location: '{url}', licence: AlphaPose non-commercial")
    words = ("fetch", "one", "--registry", folder)
    status, _, err = run(capsys, *words)
    assert status == 2
    assert "No one agreed to the licence 'AlphaPose non-commercial'." in err
    assert "--accept-licence" in err
    assert not server.requests

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for answer, expected in (("n\n", 2), ("\n", 2), ("y\n", 0)):
        err = Terminal()
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        monkeypatch.setattr(sys, "stderr", err)
        assert cli.main([str(word) for word in words]) == expected
        monkeypatch.undo()
        assert "licence of probe.one: AlphaPose non-commercial" in err.getvalue()
        assert "Do you agree to AlphaPose non-commercial? [y/N]" in err.getvalue()
        monkeypatch.setenv("POSEBENCH_CACHE", str(folder.parent / "cache"))
    # what is there needs no second yes
    assert run(capsys, *words)[0] == 0
    assert len(server.requests) == 1
    run(capsys, "cache", "prune", "--all")
    assert run(capsys, *words, "--accept-licence")[0] == 0


@pytest.mark.parametrize(
    "licence", ["AlphaPose non-commercial", "CC BY-NC 4.0", "for research only",
    "research only, no commercial use", "annotations for Non-Commercial research"],
)  # fmt: skip
def test_restricted_licences_are_recognised(licence):
    assert Item("a", "b", "to fetch", licence=licence).restricted


def test_every_licence_of_the_registry_is_sorted():
    known = load_registry()
    items = [Item("a", "b", "to fetch", licence=c.licence) for c in known.checkpoints.values()]
    free = {item.licence for item in items if not item.restricted}
    assert free == {"Apache-2.0", "MIT"}


def test_one_that_fails_is_told_and_the_others_come(server, folder, capsys):
    good, bad = server.put("/good", BODY), server.put("/bad", page("Quota exceeded"))
    zoo(folder, good=f"location: '{good}'", bad=f"location: '{bad}'", hand="note: ask them")
    status, out, _ = run(capsys, "fetch", "--zoo", "probe", "--registry", folder)
    assert status == 1
    assert "1 fetched, 1 failed, 1 by hand." in out
    assert "probe.bad: " in out and "web page (Quota exceeded)" in out
    assert "Ask them." in out
    # a single one is an error as everywhere
    for name, message in (("bad", "web page (Quota exceeded)"), ("hand", "cannot be fetched")):
        status, out, err = run(capsys, "fetch", name, "--registry", folder)
        assert (status, out) == (2, "") and message in err and "--from FILE" in err
    status, out, _ = run(capsys, "fetch", "bad", "--registry", folder, "--json")
    assert status == 2 and "web page" in json.loads(out)["error"]


def test_a_file_from_elsewhere_is_taken(server, folder, capsys, tmp_path):
    zoo(folder, hand="location: 'baidu:1abc', file_name: x.pth")
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(BODY)
    words = ("fetch", "hand", "--registry", folder)
    assert "https://pan.baidu.com/s/1abc (x.pth)" in run(capsys, *words)[2]
    status, out, _ = run(capsys, *words, "--from", mine)
    assert status == 0 and "probe.hand is in the cache now." in out
    assert run(capsys, *words)[0] == 0
    status, _, err = run(capsys, "fetch", "--zoo", "probe", "--registry", folder, "--from", mine)
    assert status == 2 and "--from needs the one model" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Say what to fetch"),
        (("tinypose_256x192", "--all"), "Say what to fetch"),
        (("--zoo", "gluon"), "Unknown zoo 'gluon'"),
        (("--zoo", "lpn", "--dataset", "halpe_26"), "has no model for halpe_26"),
        (("--zoo", "lpn", "--dataset", "cocoo"), "Unknown dataset 'cocoo'"),
        (("nothing_like_it",), "Unknown model"),
        (("lpn_50",), "names 2 rows"),
        (("--dataset", "synthetic"), "There is nothing to fetch for synthetic"),
        (("--dataset", "coco"), "Where shall COCO keypoints, val2017 go?"),
        (("lpn_50", "--jobs", "0"), "is not a whole number"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(server, capsys, words, message):
    status, out, err = run(capsys, "fetch", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert not server.requests


def test_models_that_come_with_posebench_need_nothing(server, capsys):
    status, out, _ = run(capsys, "fetch", "demo_s")
    assert status == 0 and "shipped" in out


def test_an_evaluation_can_ask_for_its_file(server, folder):
    url = server.put("/one", BODY)
    zoo(
        folder,
        one=f"location: '{url}', licence: MIT",
        two=f"location: '{url}?', licence: non-commercial",
        hand="note: ask",
    )
    known = load_registry((folder,))
    assert ensure_checkpoint(known.find("one")).read_bytes() == BODY
    assert ensure_checkpoint(known.find("demo_s")) is None
    with pytest.raises(UserError, match="under the licence 'non-commercial'") as caught:
        ensure_checkpoint(known.find("two"))
    assert "posebench fetch probe/two --accept-licence" in caught.value.hint
    with pytest.raises(UserError, match="404"):
        ensure_checkpoint(known.find("two"), accept_licence=True)
    with pytest.raises(UserError, match="needs its weights file"):
        ensure_checkpoint(known.find("hand"))


def test_ctrl_c_ends_with_its_status_and_the_next_run_goes_on(server, folder, capsys, monkeypatch):
    body = save({"weight": torch.randn(100_000)})
    url = server.put("/one", Answer(body, piece=20_000))
    zoo(folder, one=f"location: '{url}'")
    settings: list[Settings] = []
    original = Settings.cache
    monkeypatch.setattr(Settings, "cache", lambda self: settings.append(self) or original(self))

    stopped = threading.Event()

    def stop_midway():
        settings[0].policy.cancel.set()
        stopped.wait(60)  # the rest is not sent before the client has stopped

    server.when_sent = stop_midway
    status, out, err = run(capsys, "fetch", "one", "--registry", folder)
    assert (status, out) == (130, "")
    assert "interrupted" in err
    server.when_sent = None
    stopped.set()
    server.put("/one", body)
    assert run(capsys, "fetch", "one", "--registry", folder)[0] == 0
    assert "Range" in server.asked("/one")[-1]


# --- datasets -------------------------------------------------------------------------------------

DATASET = """
tiny:
  title: a tiny dataset
  keypoints: coco_17
  reader: coco
  official_scorer: coco_oks
  annotation_file: annotations/{{annotations}}.json
  image_folder: val2017
  box_files:
    det: {{path: boxes/det.json, boxes: 2, box_ap: {area}}}
  images: 2
  persons: 2
  licence: CC BY 4.0
  how_to_get: Draw it.
  files:
    - {{path: annotations/person_keypoints.json, what: persons, archive: a.zip, url: "{url}/a.zip"}}
    - {{path: val2017/, what: images, archive: i.zip, bytes: {size}, url: "{url}/i.zip"}}
    - {{path: boxes/det.json, what: boxes, url: "{url}/det.json"}}
    - {{path: other.json, what: a page's own, licence: "{licence}"}}
"""


def tiny(server: Server, folder: Path, area: float = 100.0, licence: str = "MIT") -> None:
    """Two images with a person each, and detections that fit perfectly."""
    image = cv2.imencode(".jpg", np.zeros((60, 80, 3), np.uint8))[1].tobytes()
    keypoints = [20.0, 20.0, 2] * 17
    box = [10.0, 10.0, 30.0, 40.0]
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 80, "height": 60} for i in (1, 2)]
    persons = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": box, "area": 1200.0, "iscrowd": 0,
         "keypoints": keypoints, "num_keypoints": 17}
        for i in (1, 2)
    ]  # fmt: skip
    category = {"id": 1, "name": "person"}
    truth = {"images": images, "annotations": persons, "categories": [category]}
    pictures = packed({f"val2017/{i}.jpg": image for i in (1, 2)})
    names = ("annotations/person_keypoints.json", "annotations/instances.json")
    server.put("/a.zip", packed({name: json.dumps(truth).encode() for name in names}))
    server.put("/i.zip", pictures)
    found = [{"image_id": i, "category_id": 1, "bbox": box, "score": 0.9} for i in (1, 2)]
    server.put("/det.json", json.dumps(found).encode())
    text = DATASET.format(url=server.address, area=area, size=len(pictures), licence=licence)
    (folder / "datasets.yaml").write_text(text.replace("a page's own", "more"))


def packed(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


@pytest.mark.parametrize(
    "path", ["../../escape.json", "{absolute}", "a/../../escape.json", "a\\\\b"]
)
def test_no_row_can_name_a_place_outside_the_data_root(server, folder, capsys, tmp_path, path):
    path = path.replace("{absolute}", str(tmp_path / "escape.json"))
    tiny(server, folder)
    place = folder / "datasets.yaml"
    place.write_text(
        place.read_text().replace("path: boxes/det.json, what", f'path: "{path}", what')
    )
    root = tmp_path / "a" / "b" / "data"
    before = {p for p in tmp_path.rglob("*")}
    words = ("fetch", "--dataset", "tiny", "--data-root", root, "--registry", folder)
    status, _, told = run(capsys, *words)
    assert status == 2
    assert "datasets.yaml:" in told and "files.2.path" in told
    assert {p for p in tmp_path.rglob("*")} == before


def test_no_link_leads_a_download_out_of_the_data_root(server, folder, capsys, tmp_path):
    tiny(server, folder)
    root, away = tmp_path / "data", tmp_path / "away"
    root.mkdir(), away.mkdir()
    (root / "boxes").symlink_to(away)
    words = ("fetch", "--dataset", "tiny", "--data-root", root, "--registry", folder)
    status, out, told = run(capsys, *words)
    assert status == 1
    assert "is not written: it leads to" in out + told
    assert not list(away.iterdir())


def test_a_dataset_comes_into_its_usual_layout_and_is_complete(server, folder, capsys, tmp_path):
    tiny(server, folder)
    root = tmp_path / "data"
    words = ("fetch", "--dataset", "tiny", "--registry", folder, "--data-root", root)
    status, out, _ = run(capsys, *words, "--dry-run")
    assert status == 0 and "3 files to fetch" in out
    status, out, _ = run(capsys, *words)
    assert status == 1, out
    assert "3 fetched" in out and "1 by hand" in out
    assert "2 boxes, AP 100.0" in out
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert files == {
        "annotations/person_keypoints.json", "val2017/1.jpg", "val2017/2.jpg", "boxes/det.json"
    }  # fmt: skip
    (root / "other.json").write_text("{}")
    count = len(server.requests)
    status, out, _ = run(capsys, *words, "--json")
    assert status == 0
    assert {file["state"] for file in json.loads(out)["files"]} == {"there"}
    assert len(server.requests) == count
    # an image less, and the folder is no longer complete
    (root / "val2017" / "1.jpg").unlink()
    assert "1 fetched, 3 there" in "".join(sorted_summary(run(capsys, *words)[1]))
    assert (root / "val2017" / "1.jpg").is_file()


def sorted_summary(out: str) -> str:
    return ", ".join(sorted(out.strip().splitlines()[-1].rstrip(".").split(", ")))


def test_boxes_prove_themselves_or_are_refused(server, folder, capsys, tmp_path):
    tiny(server, folder, area=56.4)
    root = tmp_path / "data"
    words = ("fetch", "--dataset", "tiny", "--registry", folder, "--data-root", root)
    status, out, _ = run(capsys, *words)
    assert status == 1 and "have AP 100.0, the published ones 56.4" in out
    assert not (root / "boxes" / "det.json").exists()
    server.put("/det.json", b"[{}]")
    assert "has 1 boxes, the published one has 2" in run(capsys, *words)[1]
    server.put("/det.json", b'[{"image_id": 1')
    assert "is not a whole JSON file" in run(capsys, *words)[1]
    server.put("/det.json", page("Sign in", kind="application/json"))
    assert "web page (Sign in)" in run(capsys, *words)[1]
    assert not (root / "boxes" / "det.json").exists()


def test_a_damaged_archive_is_fetched_anew_the_next_time(server, folder, capsys, tmp_path):
    tiny(server, folder)
    root = tmp_path / "data"
    words = ("fetch", "--dataset", "tiny", "--registry", folder, "--data-root", root)
    (good,) = server.answers["/a.zip"]
    server.put("/a.zip", good.body[:200] + b"\xff" * 50 + good.body[250:])
    assert "damaged archive" in run(capsys, *words)[1]
    assert not (root / "annotations" / "person_keypoints.json").exists()
    server.put("/a.zip", good)
    run(capsys, *words)
    assert (root / "annotations" / "person_keypoints.json").is_file()
    assert not (root / ".posebench-fetch").exists()


def test_the_licence_of_a_part_counts(server, folder, capsys, tmp_path):
    tiny(server, folder)
    text = (folder / "datasets.yaml").read_text()
    (folder / "datasets.yaml").write_text(text.replace("licence: CC BY 4.0", "licence: research"))
    words = ("fetch", "--dataset", "tiny", "--registry", folder, "--data-root", tmp_path / "data")
    status, _, err = run(capsys, *words)
    assert status == 2 and "No one agreed to the licence 'research'." in err
    assert not server.requests


# --- cache and doctor -----------------------------------------------------------------------------


def test_damage_in_the_cache_is_told_and_pruned(server, folder, capsys):
    zoo(folder, one=f"location: '{server.put('/one', BODY)}'")
    run(capsys, "fetch", "one", "--registry", folder)
    (held,) = json.loads(run(capsys, "cache", "list", "--json")[1])["files"]
    path = Path(held["file"])
    path.chmod(0o644)
    path.write_bytes(BODY[::-1])
    status, out, _ = run(capsys, "cache", "verify")
    assert status == 1 and "1 damaged: `posebench cache prune`" in out
    assert run(capsys, "cache", "verify", "--json")[0] == 1
    assert "2 things would be removed" in run(capsys, "cache", "prune", "--dry-run")[1]
    assert path.exists()
    assert len(json.loads(run(capsys, "cache", "prune", "--json")[1])["removed"]) == 2
    assert not path.exists()
    assert run(capsys, "fetch", "one", "--registry", folder)[0] == 0
    assert run(capsys, "cache", "lst")[0] == 2


def findings(out: str) -> dict[tuple[str, str], dict]:
    return {(found["area"], found["name"]): found for found in json.loads(out)["findings"]}


def test_the_doctor_names_what_is_there_and_what_mends_the_rest(
    server, folder, capsys, tmp_path, monkeypatch
):
    tiny(server, folder)
    zoo(folder, one=f"location: '{server.put('/one', BODY)}'", two="note: by hand")
    words = ("doctor", "--registry", folder, "--json")
    status, out, _ = run(capsys, *words)
    found = findings(out)
    assert status == 0
    assert found["environment", "torch"]["status"] == "ok"
    assert found["devices", "cpu"]["status"] == "ok"
    assert found["datasets", "data root"]["mend"] == "export POSEBENCH_DATA=DIR"
    assert found["datasets", "synthetic"]["status"] == "ok"
    assert found["checkpoints", "probe"]["detail"] == "0 of 2 weights files are here"
    assert found["checkpoints", "probe"]["mend"] == "posebench fetch --zoo probe"
    assert found["checkpoints", "demo"]["status"] == "ok"
    assert all(one["mend"] for one in found.values() if one["status"] in ("missing", "broken"))
    assert not server.requests

    root = tmp_path / "data"
    monkeypatch.setenv("POSEBENCH_DATA", str(root))
    run(capsys, "fetch", "one", "--registry", folder)
    run(capsys, "fetch", "--dataset", "tiny", "--registry", folder)
    found = findings(run(capsys, *words)[1])
    assert found["checkpoints", "probe"]["detail"] == "1 of 2 weights files are here"
    assert found["datasets", "tiny"]["detail"] == "3 of 4 parts; missing other.json"
    assert found["datasets", "tiny"]["mend"] == f"posebench fetch --dataset tiny --data-root {root}"
    (root / "other.json").write_text("{}")
    assert findings(run(capsys, *words)[1])["datasets", "tiny"]["status"] == "ok"
    status, out, _ = run(capsys, "doctor", "--registry", folder)
    assert "  -> posebench fetch --dataset coco" in out
    assert "ok" in out.splitlines()[-1]


def test_the_doctor_survives_what_is_broken(server, capsys, monkeypatch, tmp_path):
    code = (
        "import sys\nsys.modules['torch'] = None\nsys.modules['cv2'] = None\n"
        "from posebench.cli.main import main\nsys.exit(main(['doctor', '--json']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    found = findings(done.stdout)
    assert found["environment", "torch"]["status"] == "broken"
    assert "pip install 'torch>=" in found["environment", "torch"]["mend"]
    assert found["environment", "opencv-python-headless"]["status"] == "broken"
    assert found["devices", "devices"]["status"] == "broken"

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "checkpoints.lock").write_text("[")
    monkeypatch.setattr(doctor, "CROP_SELF_TEST", "other")
    found = findings(run(capsys, "doctor", "--json")[1])
    assert found["environment", "crops"]["status"] == "note"
    assert found["checkpoints", "cache"]["status"] == "ok"
    assert "is not a list of fetched files" in found["checkpoints", "checkpoints"]["detail"]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("file/cache", "is not a folder"),  # a file where a folder should be
        ("~/.cache/posebench", "there is no home folder"),  # what is left of an unknown home
    ],
)
def test_the_doctor_says_why_the_cache_cannot_be_written(
    place, words, capsys, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    folder = place if place.startswith("~") else str(tmp_path / place)
    monkeypatch.setenv("POSEBENCH_CACHE", folder)
    status, out, _ = run(capsys, "doctor", "--json")
    found = findings(out)["checkpoints", "cache"]
    assert status == 1
    assert found["status"] == "broken"
    assert folder in found["detail"] and words in found["detail"]
    assert "GB free" not in found["detail"]
    assert found["mend"].startswith("export POSEBENCH_CACHE=DIR")


def test_the_doctor_tries_to_write_where_permissions_say_yes(capsys, tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path / "new" / "cache"))
    assert findings(run(capsys, "doctor", "--json")[1])["checkpoints", "cache"]["status"] == "ok"
    assert not list(tmp_path.glob("**/*posebench-doctor*")) and not (tmp_path / "new").exists()
    monkeypatch.setattr(doctor.tempfile, "TemporaryDirectory", refused)
    found = findings(run(capsys, "doctor", "--json", "--data-root", tmp_path)[1])
    assert found["checkpoints", "cache"]["status"] == "broken"
    assert "cannot be written: Permission denied" in found["checkpoints", "cache"]["detail"]
    # data that is only read is as good as any
    assert found["datasets", "data root"]["status"] == "ok"
    assert "read only (Permission denied)" in found["datasets", "data root"]["detail"]


def test_the_doctor_names_each_optional_part_once_with_one_command(capsys, monkeypatch):
    declared = [("torch", ">=2.2", ""), ("numpy", "<2", "openmmlab"), ("nosuch-a", ">=1", "ray")]
    declared += [("nosuch-b", "", "ray"), ("pytest", ">=900", "gpu"), ("pytest", "", "fetch")]
    declared += [("numpy", "", "")]
    monkeypatch.setattr(doctor, "requirements", lambda: declared)
    found = findings(run(capsys, "doctor", "--json")[1])
    parts = {name: one for (area, name), one in found.items() if area == "optional parts"}
    assert list(parts) == ["fetch", "openmmlab", "ray", "runtimes", "gpu"]
    assert parts["ray"]["status"] == "missing"
    assert parts["ray"]["detail"].endswith("not installed: nosuch-a, nosuch-b")
    assert parts["ray"]["mend"] == install_command("ray")
    assert parts["gpu"]["status"] == "broken" and "but >=900 is needed" in parts["gpu"]["detail"]
    assert parts["fetch"]["status"] == "ok"
    # packages that everything needs are considered among those
    assert "numpy" not in parts["openmmlab"]["detail"]
    assert parts["openmmlab"]["mend"].endswith("&& pip install --no-deps mmpose==1.3.2")


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("2.13.0+cpu", ">=2.2", True), ("2.1.9", ">=2.2", False), ("1.26.0", "<3,>=1.26", True),
        ("3.0", "<3,>=1.26", False), ("2.10", ">=2.2", True), ("5.0.0.1", "<5,>=4.8", False),
        ("0.8.0rc1", ">=0.4", True), ("1", "", True),
        # containers of NVIDIA bring such a torch; the first release candidate of 3 is a 3
        ("2.2.0a0+81ea7a4", ">=2.2", True), ("3.0rc1", "<3", False),
        ("2.5", "~=2.2", True), ("3.1", "~=2.2", False),
        ("from a fork", "", True), ("from a fork", ">=2", False),
    ],
)  # fmt: skip
def test_versions_are_compared_as_numbers(version, wanted, fits):
    assert doctor._satisfies(version, wanted) is fits


@pytest.mark.parametrize(
    ("size", "words"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (252907541, "252.9 MB"),
     (12.9e9, "12.9 GB"), (1e16, "10000.0 TB")],
)  # fmt: skip
def test_sizes_in_words(size, words):
    assert describe_size(size) == words


def test_eval_fetches_on_demand_and_shows_the_licence(server, folder, capsys, tmp_path):
    """The weights of demo_s as if somebody published them; evaluated, they score alike."""
    source = Path(str(files("posebench"))) / "assets" / "demo" / "demo_s.safetensors"
    url = server.put("/copy.safetensors", source.read_bytes())
    zoo(folder, copy=f"location: '{url}', licence: non-commercial")
    limits = ("--limit", "8", "--threads", "1", "--boxes", "gt", "--json")
    words = ("eval", "--model", "copy", "--registry", folder, "--output", tmp_path, *limits)
    assert "needs its weights file" in json.loads(run(capsys, *words)[1])["error"]
    status, out, err = run(capsys, *words, "--fetch")
    assert status == 2 and "No one agreed to the licence" in json.loads(out)["error"]
    assert "licence of probe.copy: non-commercial" in err
    assert not server.requests
    status, out, err = run(capsys, *words, "--fetch", "--accept-licence")
    assert status == 0
    record = json.loads(out)
    assert record["checkpoint_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    own = ("eval", "--model", "demo_s", "--output", tmp_path, *limits)
    assert record["scores"] == json.loads(run(capsys, *own)[1])["scores"]
    assert run(capsys, *words, "--fetch")[0] == 0
    assert len(server.requests) == 1
