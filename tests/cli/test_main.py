from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from importlib import import_module

import pytest

import posebench
from posebench.cli import main as cli
from posebench.cli.common import Parser, command_line, table
from posebench.types.errors import UserError

pytestmark = pytest.mark.light
HEAVY = ("torch", "pandas", "cv2", "matplotlib", "plotly", "scipy", "pycocotools", "rich", "jinja2")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], [], ["--version"], ["list"], ["eval", "--help"]])
def test_light_verbs_import_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from posebench.cli.main import main\n"
        "try:\n"
        "    status = main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    status = end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
        "sys.exit(status)\n"
    )
    done = python(code, *arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_light_verbs_answer_at_once(arguments):
    best = min(_seconds(arguments) for _ in range(3))
    # about 0.3 s on an idle machine; the bound leaves room for a busy one, not for torch (2 s)
    assert best < 1.0


def _seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "posebench", *arguments], capture_output=True, check=True)
    return time.perf_counter() - start


def test_help_names_every_verb_and_version_the_version(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in cli.VERBS)
    assert cli.main([]) == 0
    assert capsys.readouterr().out == text

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"posebench {posebench.__version__}\n"
    assert cli.main(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"posebench": posebench.__version__}


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_and_examples_that_its_parser_accepts(verb, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out

    module = import_module(f"posebench.cli.{verb}")
    parser = Parser(verb, cli.VERBS[verb], module.EXAMPLES)
    module.add_arguments(parser)
    commands = "\n".join(module.EXAMPLES).replace("\\\n", " ").splitlines()
    assert commands
    assert all(line in text for line in module.EXAMPLES)
    for command in commands:
        words = shlex.split(command.partition(">")[0])
        assert words[:2] == ["posebench", verb]
        parser.parse_args(words[2:])


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["evl"], "There is no verb 'evl'.", "Did you mean eval?"),
        (["benchmark"], "There is no verb 'benchmark'.", "The verbs are list, show"),
        (["--registry", "x", "lst"], "There is no verb 'lst'.", "Did you mean list?"),
        (["--zoo"], "A verb is missing before --zoo.", "`posebench --help`"),
        (["list", "--zooo", "lpn"], "Unrecognized arguments: --zooo lpn.", "Did you mean --zoo?"),
        (["eval"], "The following arguments are required: --model.", "eval --help"),
        (["eval", "--model", "x", "--limit", "0"], "whole number from 1 up", "eval --help"),
        (["eval", "--model", "x", "--decode", "quater"], "invalid choice: 'quater'", "--help"),
    ],
)
def test_a_mistake_is_one_sentence_a_hint_and_status_2(words, message, hint, capsys):
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.splitlines()[0]
    assert hint in captured.err
    assert "Traceback" not in captured.err

    assert cli.main([*words, "--json"]) == 2
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert message in content["error"]
    assert hint in content["hint"]


def test_interrupting_ends_with_130_and_no_traceback(monkeypatch, capsys):
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("posebench.cli.list.run", interrupted)
    assert cli.main(["list"]) == 130
    assert capsys.readouterr().err == "posebench: interrupted.\n"


def test_help_of_a_verb_by_the_word_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["help", "show"])
    assert "usage: posebench show" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX shells")
def test_a_reader_that_stops_early_is_no_error():
    command = f"{shlex.quote(sys.executable)} -m posebench list --json | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == "[\n"


def test_options_before_the_verb_count(capsys, tmp_path):
    assert cli.main(["--registry", str(tmp_path / "none"), "--json", "list"]) == 2
    assert "none" in json.loads(capsys.readouterr().out)["error"]


def test_the_command_of_a_record_holds_no_folders():
    words = [
        "--model", "lpn/lpn_50", "--data-root", "/home/me/coco", "--checkpoint=/w/x.pth",
        "--boxes", "../det.json", "--no-flip",
    ]  # fmt: skip
    assert command_line("eval", words) == (
        "posebench eval --model lpn/lpn_50 --data-root coco --checkpoint=x.pth "
        "--boxes det.json --no-flip"
    )


def test_tables_align():
    text = table(("name", "n"), [("a", "1"), ("long", "100")], right=("n",))
    assert text == "name    n\na       1\nlong  100"


def test_errors_are_raised_not_printed():
    with pytest.raises(UserError):
        Parser("list", "x", ()).parse_args(["--nothing"])
