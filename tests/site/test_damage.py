"""Records that cannot be read are named and left out; whatever they hold, the rest is shown."""

from __future__ import annotations

import json
import os
import time

import make_records as make
import pytest
from damaged_records import damaged
from refusals import assert_mentions
from site_pages import Page, check_site

from posebench.cli import main as cli
from posebench.records import store
from posebench.types.errors import UserError

# POSEBENCH_DAMAGED=500 runs the generator at length.
COUNT = int(os.environ.get("POSEBENCH_DAMAGED", "30"))
TOGETHER = 10


def report(folder, capsys, *words) -> tuple[int, dict, str]:
    site = folder / "site"
    arguments = ["report", "--records", str(folder / "records"), "--output", str(site), *words]
    status = cli.main([*arguments, "--json"])
    found = capsys.readouterr()
    return status, json.loads(found.out), found.err


def write(folder, *contents) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"eval-damaged-{number:03}.json" for number in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(data)
    return names


def changed(path: str, value):
    """A valid record with one other value."""
    content = store.to_json(make.evaluation())
    *parents, last = path.split(".")
    holder = content
    for key in parents:
        holder = holder[int(key) if key.isdecimal() else key]
    holder[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("entry.claims.0.raw", "abc", ("entry.claims.0.raw", "published number")),
        ("entry.claims.0.raw", "nan", ("entry.claims.0.raw",)),
        ("created", "2025-01-01T12:00:00", ("created", "timezone")),
        ("dataset.persons", "68", ("dataset.persons", "valid integer")),
        ("dataset.persons", 10**400, ("whole number", "64 bits")),
        ("command", "x" * 200_000, ("200,000 characters", "100,000")),
        ("entry.id", "x" * 300, ("entry.id", "100 characters")),
    ],
    ids=("text", "nan", "no zone", "text for a number", "400 digits", "long text", "long id"),
)
def test_a_damaged_record_is_named_and_the_rest_is_shown(tmp_path, capsys, path, value, names):
    store.save_all(make.demo(), tmp_path / "records")
    (name,) = write(tmp_path / "records" / "theirs", changed(path, value))

    status, content, said = report(tmp_path, capsys)

    assert (status, content["records"]) == (0, 6)
    assert content["left_out"] == [f"theirs/{name}"]
    assert_mentions(said, name, *names)
    page = Page((tmp_path / "site" / "index.html").read_text())
    assert_mentions(page.text, "1 file", *names)
    assert str(tmp_path) not in page.text  # a page is published, folders of a machine are not


def test_where_nothing_can_be_read_there_is_no_page(tmp_path, capsys):
    (name,) = write(tmp_path / "records", b"{")
    status, content, said = report(tmp_path, capsys)
    assert status == 2
    assert "None of the files" in content["error"]
    assert name in said
    assert not (tmp_path / "site").exists()


def test_the_strict_reader_still_stops_at_the_first(tmp_path):
    (name,) = write(tmp_path, b"{")
    with pytest.raises(UserError, match=name):
        store.load_records(tmp_path)
    records, (file,) = store.read_records(tmp_path)
    assert (records, file.path) == ([], name)


def test_a_measurement_does_not_take_the_place_of_another(tmp_path, capsys):
    """Two folders, one identity, one moment: a copy is the same record, anything else is not."""
    record = make.evaluation()
    for folder in ("a", "b"):
        store.save(record, tmp_path / "records" / folder)
    assert report(tmp_path, capsys)[1] == {
        "page": str(tmp_path / "site" / "index.html"), "records": 2, "left_out": [],
    }  # fmt: skip

    other = record.model_copy(update={"scores": record.scores | {"AP": 99.0}})
    path = store.save(other, tmp_path / "records" / "b")
    _, content, said = report(tmp_path, capsys)
    assert content["left_out"] == [path.relative_to(tmp_path / "records").as_posix()]
    assert "has other values than a/" in said
    assert "99.00" not in (tmp_path / "site" / "index.html").read_text()


def test_nothing_of_a_damaged_record_reaches_the_terminal_or_runs(tmp_path, capsys):
    evil = "\x1b[31m<script>alert(1)</script>"
    store.save_all(make.demo(), tmp_path / "records")
    (tmp_path / "records" / f"eval-{evil.replace('/', '_')}.json").write_text("{")
    write(tmp_path / "records", changed("kind", evil), changed(evil, 1))
    _, content, said = report(tmp_path, capsys)
    assert len(content["left_out"]) == 3
    assert "\x1b" not in said
    html = (tmp_path / "site" / "index.html").read_text()
    assert "\x1b" not in html and "<script>alert" not in html


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_tables_hold_no_control_characters(tmp_path, capsys, form):
    odd = changed("entry.title", "x") | {"verdict": "x"}
    odd["dataset"]["annotations"] = odd["entry"]["title"] = odd["scorer"] = "\x1b[31mred\x9b"
    write(tmp_path / "records", odd)
    status, content, _ = report(tmp_path, capsys, "--format", form)
    assert status == 0
    assert "red" in content["text"]
    assert not {"\x1b", "\x9b"} & set(content["text"])


def test_files_that_are_no_text_at_all_are_named(tmp_path, capsys):
    folder = tmp_path / "records"
    store.save_all(make.demo(), folder)
    os.mkfifo(folder / "eval-pipe.json")
    (folder / "eval-folder.json").mkdir()
    (folder / "eval-gone.json").symlink_to("nowhere")
    bytes_name = os.fsencode(folder) + b"/explain-\xff.json"
    with open(bytes_name, "wb") as file:  # noqa: PTH123
        file.write(b"{}")
    (folder / "verified.json").write_text("[" * 100_000)
    status, content, said = report(tmp_path, capsys)
    assert (status, content["records"]) == (0, 6)
    assert content["left_out"] == [
        *("eval-folder.json", "eval-gone.json", "eval-pipe.json"),
        *("verified.json", r"explain-\xff.json"),
    ]
    for name in content["left_out"]:
        assert name in said
    check_site(tmp_path / "site")


def test_pages_hold_no_character_that_html_forbids(tmp_path, capsys):
    odd = "a\x00b\x1b[31m\x9b\u202e\ufffe\U0001ffffc"
    write(tmp_path / "records", changed("entry.title", odd) | {"scorer": odd})
    assert report(tmp_path, capsys)[1]["records"] == 1
    check_site(tmp_path / "site")
    assert "ab[31mc" in (tmp_path / "site" / "models" / "demo-demo_s.html").read_text()


def test_any_damage_leaves_a_page(tmp_path, capsys):
    """Counts what the generator's records come to; prints it for the long run."""
    read = gone = 0
    slowest = 0.0
    contents = list(damaged(COUNT))
    for start in range(0, COUNT, TOGETHER):
        folder = tmp_path / str(start)
        store.save(make.evaluation("valid"), folder / "records" / "valid")
        names = write(folder / "records", *contents[start : start + TOGETHER])
        begun = time.process_time()
        status, content, said = report(folder, capsys)
        slowest = max(slowest, time.process_time() - begun)
        assert status == 0
        assert content["records"] + len(content["left_out"]) == 1 + len(names)
        assert all(name in said for name in content["left_out"])
        assert "Traceback" not in said
        check_site(folder / "site")
        for form in ("markdown", "latex"):
            assert report(folder, capsys, "--format", form)[0] == 0
        read, gone = read + content["records"] - 1, gone + len(content["left_out"])
    assert read and gone
    told = f"slowest site {slowest:.1f} s of processor time"
    print(f"{COUNT} records: {read} shown, {gone} left out; {told}")
