from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib import import_module

import pytest

import posebench
from posebench.cli import main as cli
from posebench.cli.parser import Parser, command_line
from posebench.cli.tables import table
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


@pytest.mark.parametrize(("arguments", "most"), [(["--help"], 300), (["list"], 450)])
def test_light_verbs_answer_at_once(arguments, most):
    """Modules are counted, not seconds: --help loads 203, list 268, torch alone a thousand."""
    code = (
        "import sys\n"
        "before = len(sys.modules)\n"
        "from posebench.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print(len(sys.modules) - before, file=sys.stderr)\n"
    )
    done = python(code, *arguments)
    assert done.returncode == 0, done.stderr
    assert int(done.stderr) < most


def test_help_names_every_verb_and_version_the_version(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in cli.COMMANDS)
    assert cli.main([]) == 0
    assert capsys.readouterr().out == text

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"posebench {posebench.__version__}\n"
    assert cli.main(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"posebench": posebench.__version__}


@pytest.mark.parametrize("verb", cli.COMMANDS)
def test_every_verb_has_help_and_examples_that_its_parser_accepts(verb, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out

    module = import_module(f"posebench.cli.{verb}")
    parser = Parser(verb, cli.COMMANDS[verb], module.EXAMPLES)
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
        (["evl"], "There is no command 'evl'.", "Did you mean eval?"),
        (["benchmark"], "There is no command 'benchmark'.", "The commands are list, show"),
        (["--registry", "x", "lst"], "There is no command 'lst'.", "Did you mean list?"),
        (["--zoo"], "A verb is missing before --zoo.", "`posebench --help`"),
        (["--model", "demo_s"], "A verb is missing before --model.", "`posebench --help`"),
        (["list", "--zooo", "lpn"], "Unrecognized arguments: --zooo.", "Did you mean --zoo?"),
        (["eval"], "MODEL is missing.", "eval --help"),
        (["cite"], "MODEL is missing.", "--model MODEL"),
        (["show", "a", "--model", "b"], "MODEL is given 2 times: a, b.", "takes one"),
        (["diagnose"], "PREDICTIONS is missing.", "--predictions PREDICTIONS"),
        (["eval", "--model", "x", "--limit", "0"], "whole number from 1 up", "eval --help"),
        (["eval", "--model", "x", "--limit", "\u0663"], "whole number from 1 up", "eval --help"),
        (["score", "x", "--limit", "-4"], "whole number from 1 up", "score --help"),
        (["eval", "--model", "x", "--limit", "9" * 5000], "whole number from 1 up", "--help"),
        (["eval", "x", "--nms-threshold", "nan"], "'nan' is not a finite number", "--help"),
        (["eval", "x", "--nms-threshold", "1e999"], "'1e999' is not a finite number", "--help"),
        (["eval", "x", "--decode", "darkk"], "--decode 'darkk' is not known.", "Did you mean dark"),
        (["eval", "x", "--launcher", "rai"], "--launcher 'rai' is not known.", "mean ray?"),
        (["score", "x", "--engine", "xtcoco"], "--engine 'xtcoco' is", "Did you mean xtcocotools?"),
        (["cache", "lst"], "ACTION 'lst' is not known.", "Did you mean list?"),
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


@pytest.mark.parametrize("verb", ["cite", "convert", "eval", "explain", "show"])
def test_a_model_is_named_by_its_place_or_by_the_option(verb):
    module = import_module(f"posebench.cli.{verb}")
    parser = Parser(verb, cli.COMMANDS[verb], module.EXAMPLES)
    module.add_arguments(parser)
    rest = ["--checkpoint", "a", "--output", "b"] if verb == "convert" else []
    for words in (["x", *rest], ["--model", "x", *rest], [*rest, "--model=x"]):
        assert parser.parse_args(words).model == "x"


@pytest.mark.parametrize("verb", ["fetch", "speed", "verify"])
def test_several_models_are_named_by_their_places_or_by_the_option(verb):
    module = import_module(f"posebench.cli.{verb}")
    parser = Parser(verb, cli.COMMANDS[verb], module.EXAMPLES)
    module.add_arguments(parser)
    assert parser.parse_args(["x", "--model", "y", "--model", "z"]).models == ["x", "y", "z"]
    assert parser.parse_args(["--model", "y"]).models == ["y"]
    assert parser.parse_args([]).models == []


def test_errors_are_raised_not_printed():
    with pytest.raises(UserError):
        Parser("list", "x", ()).parse_args(["--nothing"])
