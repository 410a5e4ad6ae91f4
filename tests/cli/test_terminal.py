"""What may reach a terminal, and who may print there."""

from __future__ import annotations

import ast
import io
import json
import sys
from pathlib import Path

import make_records as make
import pytest

import posebench
import posebench.cli
from posebench.cli import main as cli
from posebench.cli import tables, terminal
from posebench.cli.terminal import claimed, emit, print_json
from posebench.progress import printable
from posebench.types.errors import UserError

pytestmark = pytest.mark.light
ESCAPES = ("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u202e", "\u2066", "\x7f", "\r", "\x00")


def obeyed(text: str) -> list[str]:
    """Everything in a text that a terminal does something else with than show it."""
    return [
        c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2066")
    ]


@pytest.mark.parametrize("escape", ESCAPES)
def test_control_sequences_become_text(escape):
    shown = printable(f"a{escape}b\tc\nd")
    assert not obeyed(shown) and "\n" not in shown
    assert shown.startswith("a\\") and shown.endswith("b\\x09c\\x0ad")
    assert printable("a\tb\nc", lines=True) == "a\tb\nc"
    assert (
        printable("Lite\u2011HRNet, caf\u00e9, \u59ff\u52e2")
        == "Lite\u2011HRNet, caf\u00e9, \u59ff\u52e2"
    )


def test_a_byte_that_is_not_utf_8_is_shown_as_one(capsys):
    assert printable("out\udcff") == "out\\xff"
    assert printable("\ud800") == "\\ud800"
    print_json({"file": "out\udcff", "x": "\x9b\u202e\x1b"})
    text = capsys.readouterr().out
    assert "out\\udcff" in text and not obeyed(text)
    assert json.loads(text) == {"file": "out\udcff", "x": "\x9b\u202e\x1b"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_encoding_that_lacks_letters_stops_nothing(encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    emit("\u59ff caf\u00e9")
    print_json({"title": "\u59ff caf\u00e9 \U0001f600"})
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert ("\u59ff" in text) is (encoding == "utf-8")
    assert json.loads(text.partition("\n")[2]) == {"title": "\u59ff caf\u00e9 \U0001f600"}


def test_only_the_answer_goes_to_standard_output(capsys):
    with claimed():
        print("a library that talks")
        emit("the answer")
        emit("a remark", error=True)
        with claimed():
            emit("more")
    assert sys.stdout is not sys.stderr
    assert capsys.readouterr() == ("the answer\nmore\n", "a library that talks\na remark\n")


def test_what_standard_error_does_not_take_stops_no_work(monkeypatch):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Full())
    emit("a remark", error=True)
    monkeypatch.setattr(sys, "stdout", None)
    emit("nobody reads this")
    print_json({})
    assert terminal.width() is None


def test_errors_of_fetched_pages_and_files_are_shown_not_obeyed(monkeypatch, capsys):
    def fake(model, **_):
        raise UserError("The page \x1b]0;gone\x07 says \x9b31m no.", "Try\x1b[2J again.")

    monkeypatch.setitem(posebench.__dict__, "evaluate", fake)
    for words in ([], ["--json"]):
        assert cli.main(["eval", "demo_s", *words]) == 2
        told = capsys.readouterr()
        assert not obeyed(told.out + told.err)
    assert cli.main(["show", "\x1b[31mdemo"]) == 2
    assert not obeyed(capsys.readouterr().err)


def test_records_are_shown_not_obeyed(monkeypatch, tmp_path, capsys):
    record = make.evaluation(verdict="differs")
    notes = ("a note\x1b[2J\nverdict  reproduced", "\u202edecalper")
    record = record.model_copy(update={"notes": notes, "checkpoint_name": "\x9b31m.pth"})
    monkeypatch.setitem(posebench.__dict__, "evaluate", lambda model, **_: record)
    assert cli.main(["eval", "demo_s", "--output", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert not obeyed(text)
    assert "a note\\x1b[2J\\x0averdict  reproduced" in text  # and so no line of its own


def test_bars_show_names_as_they_are(monkeypatch):
    pytest.importorskip("rich")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with terminal.progress() as report:
        report("[red]one[/red]\x1b]0;title\x07", 1, 2)
    assert "[red]one[/red]\\x1b]0;title\\x07" in stream.getvalue()
    assert "\x1b]0;" not in stream.getvalue()


def test_lines_of_progress_where_nobody_looks(capsys):
    with terminal.progress() as silent:
        assert silent is None
    with terminal.progress(lines=True) as report:
        for done in range(3):
            report("one", done, 3)
        report("two", 0, 0)
    assert capsys.readouterr() == ("", "posebench: one\nposebench: two\n")


def test_nothing_but_the_terminal_module_prints():
    """Otherwise words of a record reach the terminal unread, and --json is not alone on stdout."""
    folder = Path(posebench.cli.__file__).parent
    found = [
        f"{path.name}:{node.lineno}"
        for path in folder.glob("*.py")
        if path.name != "terminal.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and node.attr in ("stdout", "redirect_stdout"))
    ]
    assert found == []


# --- fitting a terminal ---------------------------------------------------------------------------

HEAD = ("model", "status", "n", "licence")
ROWS = [("zoo/one", "broken: " + "a long reason " * 9, "1", "MIT"), ("zoo/two", "ok", "12", "-")]


def test_piped_tables_are_whole(monkeypatch):
    monkeypatch.setattr(tables, "width", lambda: None)
    text = tables.table(HEAD, ROWS, right=("n",), drop=("licence", "n"), cut=("status",))
    assert ROWS[0][1].strip() in text and "..." not in text
    assert "left out" not in text


@pytest.mark.parametrize(
    ("columns", "kept"), [(200, HEAD), (60, HEAD), (34, HEAD[:3]), (28, HEAD[:2]), (10, HEAD[:1])]
)
def test_narrow_terminals_cut_first_and_then_leave_columns_out(columns, kept, monkeypatch):
    monkeypatch.setattr(tables, "width", lambda: columns)
    text = tables.table(HEAD, ROWS, right=("n",), drop=("licence", "n", "status"), cut=("status",))
    lines = text.partition("\n\n")[0].splitlines()
    assert tuple(lines[0].split()) == kept
    assert max(map(len, text.splitlines())) <= max(columns, len("terminal:"))
    gone = [name for name in ("licence", "n", "status") if name not in kept]
    assert (f"left out on this terminal: {', '.join(gone)};" in " ".join(text.split())) is bool(
        gone
    )
    assert ("..." in lines[1]) is (columns < 200 and "status" in kept)


def test_a_table_that_may_lose_nothing_stays_wide(monkeypatch):
    monkeypatch.setattr(tables, "width", lambda: 10)
    assert (
        tables.table(("metric", "measured"), [("AP", "67.22")]).splitlines()[1] == "AP      67.22"
    )


def test_facts_are_wrapped_between_words(monkeypatch):
    monkeypatch.setattr(tables, "width", lambda: 40)
    text = tables.key_value_table(
        [("note", "one two three " * 6), ("file", "x" * 90), ("none", "")]
    )
    first, *rest = text.splitlines()
    assert all(len(line) <= 40 for line in [first, *rest[:-1]])
    assert all(line.startswith("      ") for line in rest[:-1])
    assert rest[-1] == "file  " + "x" * 90
    monkeypatch.setattr(tables, "width", lambda: None)
    assert len(tables.key_value_table([("note", "one two three " * 6)]).splitlines()) == 1
