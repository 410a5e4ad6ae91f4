"""Files that a node lacks: fetched once, by whoever needs them first."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from remote_row import fetched_row

from posebench.api.model import load_model
from posebench.downloads.plan import FAILED, THERE, TO_FETCH, Item
from posebench.launch import files
from posebench.launch.files import bring
from posebench.launch.many import ShardTask, carry_out
from posebench.types.errors import UserError
from posebench.types.request import EvalRequest

ASKED = {"limit": 6, "batch_size": 4, "threads": 1}


def request(folder: Path, **more) -> EvalRequest:
    return EvalRequest.of(model="far", registry=(folder,), **ASKED, **more)


def test_workers_of_one_node_fetch_a_file_once(server, tmp_path, monkeypatch):
    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path / "cache"))
    asked = request(fetched_row(tmp_path / "rows", server))
    threads = [threading.Thread(target=bring, args=(asked, False)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked("/weights")) == 1


def test_a_task_fetches_only_if_it_may(server, tmp_path, monkeypatch):
    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path / "cache"))
    asked = request(fetched_row(tmp_path / "rows", server, "CC-BY-NC"))
    share = ShardTask(0, asked, (1, 1), tmp_path / "parts")
    assert "needs its weights file" in carry_out(share).error
    assert "licence 'CC-BY-NC'" in carry_out(replace(share, accept_licence=False)).error
    with pytest.raises(UserError, match="licence 'CC-BY-NC'"):
        bring(asked, False)
    assert server.asked("/weights") == []
    bring(asked, True)
    bring(asked, True)
    assert len(server.asked("/weights")) == 1
    assert load_model("far", registry=(tmp_path / "rows",)).checkpoint_name == "weights"


def test_given_files_and_drawn_data_are_nobodys_to_fetch(tmp_path, monkeypatch):
    monkeypatch.delenv("POSEBENCH_DATA", raising=False)
    bring(EvalRequest.of(model="demo_s"), False)
    given = {"checkpoint": tmp_path / "w", "annotations": tmp_path / "a.json"}
    bring(EvalRequest.of(model="lpn_50", dataset="coco", **given), False)


def item(state: str, licence: str = "CC-BY-4.0") -> Item:
    return Item("coco: val2017/", "images", state, "https://a/b", licence, 5, message="It broke.")


def test_datasets_are_fetched_under_the_same_terms(tmp_path, monkeypatch):
    asked = EvalRequest.of(
        model="lpn_50", dataset="coco", checkpoint=tmp_path / "w", data_root=tmp_path
    )
    fetched = []

    def planned(spec, settings):
        assert (spec.id, settings.data_root) == ("coco", tmp_path)
        return plan

    monkeypatch.setattr(files, "plan_dataset", planned)
    monkeypatch.setattr(files, "fetch_items", lambda items, settings: fetched.append(items) or [])
    plan = [item(THERE, "non-commercial"), item(TO_FETCH)]
    bring(asked, False)
    assert fetched == [plan[1:]]  # what is there is left alone
    plan = [item(TO_FETCH, "non-commercial")]
    with pytest.raises(UserError, match="is under the licence 'non-commercial'"):
        bring(asked, False)
    bring(asked, True)
    assert fetched[1:] == [plan]
    monkeypatch.setattr(files, "fetch_items", lambda *_: [item(FAILED)])
    with pytest.raises(UserError, match="It broke"):
        bring(asked, True)
