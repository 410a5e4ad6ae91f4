"""Files that a node lacks: fetched once, by whoever needs them first."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from server import Server, serving

from posebench.adapters.loading import _shipped
from posebench.launch.files import Fetching, bring
from posebench.launch.tasks import Task, carry_out
from posebench.registry import load_registry
from posebench.run.evaluation import load_model
from posebench.run.request import Request
from posebench.types.errors import UserError

ASKED = {"limit": 6, "batch_size": 4, "threads": 1}


@pytest.fixture
def server() -> Server:
    with serving() as running:
        yield running


def fetched_row(folder: Path, server: Server, licence: str = "MIT") -> Path:
    """A registry whose one row is demo_s, with its weights on a server."""
    entry = load_registry().find("demo_s")
    url = server.put("/weights", _shipped(entry.checkpoint).read_bytes())
    network = json.dumps({"name": entry.network.name, "arguments": entry.network.arguments})
    (folder / "zoos").mkdir(parents=True)
    (folder / "zoos" / "probe.yaml").write_text(
        "zoo: probe\ntitle: probe\nlicence: MIT\n"
        f"inputs:\n  probe: {{size: [128, 96]}}\n"
        "rows:\n  - id: far\n    title: far\n    dataset: synthetic\n"
        f"    network: {network}\n    input: probe\n    protocol: demo_gt_flip@1\n"
        f"    file: {{container: safetensors, location: '{url}', licence: {licence}}}\n"
    )
    return folder


def request(folder: Path, **more) -> Request:
    return Request.of("far", registry=(folder,), **ASKED, **more)


def test_workers_of_one_node_fetch_a_file_once(server, tmp_path, monkeypatch):
    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path / "cache"))
    asked = request(fetched_row(tmp_path / "rows", server))
    threads = [threading.Thread(target=bring, args=(asked, Fetching())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked("/weights")) == 1


def test_a_task_fetches_only_if_it_may(server, tmp_path, monkeypatch):
    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path / "cache"))
    asked = request(fetched_row(tmp_path / "rows", server, "CC-BY-NC"))
    task = Task(0, asked, (1, 1), tmp_path / "parts")
    assert "needs its weights file" in carry_out(task).error
    with pytest.raises(UserError, match="licence 'CC-BY-NC'"):
        bring(asked, Fetching())
    assert server.asked("/weights") == []
    bring(asked, Fetching(accept_licence=True))
    bring(asked, Fetching(accept_licence=True))
    assert len(server.asked("/weights")) == 1
    assert load_model("far", registry=(tmp_path / "rows",)).checkpoint_name == "weights"


def test_given_files_and_drawn_data_are_nobodys_to_fetch(tmp_path, monkeypatch):
    monkeypatch.delenv("POSEBENCH_DATA", raising=False)
    bring(Request.of("demo_s"), Fetching())
    given = {"checkpoint": tmp_path / "w", "annotations": tmp_path / "a.json"}
    bring(Request.of("lpn_50", dataset="coco", **given), Fetching())
