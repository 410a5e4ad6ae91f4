"""The command in a process of its own: closed and full streams, odd names, locales, Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

POSIX = pytest.mark.skipif(os.name != "posix", reason="descriptors and signals of POSIX")
pytestmark = [POSIX, pytest.mark.light]
PROGRAM = f"{shlex.quote(sys.executable)} -m posebench"
# What becomes of a command when its streams do; {} is the command.
CLOSED = ("{} >&-", "{} >&- 2>&-", "{} <&- >&- 2>&-")


def shell(line: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True, check=False, env=os.environ | changes,
    )  # fmt: skip


@pytest.mark.parametrize("streams", CLOSED)
@pytest.mark.parametrize(
    ("words", "status"), [("list lpn", 0), ("list --json", 0), ("show --help", 0), ("lst", 2)]
)
def test_closed_streams_are_silence(words, status, streams):
    done = shell(streams.format(f"{PROGRAM} {words}"))
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    """The first file that is opened would get descriptor 1, and everything that is printed."""
    code = (
        "import os\n"
        "from posebench.cli import terminal\n"
        "terminal.take_over()\n"
        "file = open('record', 'w')\n"
        "assert file.fileno() > 2\n"
        "print('words')\n"
        "os.write(1, b'words of a library')\n"
        "os.write(2, b'more words')\n"
    )
    done = subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} <&- >&- 2>&-"],
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "record").read_bytes() == b""


def test_what_a_library_writes_to_descriptor_1_goes_to_standard_error():
    """Threads of a cluster and code in C print there, also while the answer is printed."""
    code = (
        "import os, sys\n"
        "from posebench.cli import main, terminal\n"
        "import posebench.cli.list as verb\n"
        "def run(arguments):\n"
        "    os.write(1, b'from C\\n')\n"
        "    print('from Python')\n"
        "    terminal.print_json({'alone': True})\n"
        "    os.write(1, b'from C, later\\n')\n"
        "    os.system('echo from a child')\n"
        "    return 0\n"
        "verb.run = run\n"
        "sys.argv = ['posebench', 'list', '--json']\n"
        "main.entry_point()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"alone": True}
    assert sorted(done.stderr.decode().splitlines()) == [
        "from C", "from C, later", "from Python", "from a child",
    ]  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["list", "list --json", "show --help", "--help", "--version"])
def test_a_full_disk_is_one_sentence(words):
    done = shell(f"{PROGRAM} {words} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "posebench: The output cannot be written: No space left on device.",
        "  Free some space, or write somewhere else.",
    ]
    done = shell(f"{PROGRAM} {words} > /dev/full 2> /dev/full")
    assert done.returncode == 2


@pytest.mark.parametrize("words", ["list", "list --json", "show --help", "--help"])
def test_a_reader_that_stops_early_is_no_error(words):
    done = shell(f"{PROGRAM} {words} | head -c 1")
    assert done.returncode == 0
    assert done.stderr == b""
    assert len(done.stdout) == 1


def test_a_full_pipe_that_would_not_block_is_waited_for():
    """An event loop that reads a child's output may have told its pipe not to block."""
    ours, its = os.pipe()
    os.set_blocking(its, False)
    command = [sys.executable, "-m", "posebench", "list", "--json"]
    with subprocess.Popen(command, stdout=its, stderr=subprocess.PIPE) as process:
        os.close(its)
        with os.fdopen(ours, "rb") as pipe:
            rows = json.loads(pipe.read())
        assert process.stderr is not None and process.stderr.read() == b""
    assert process.returncode == 0
    assert len(rows) > 300


LOCALES = (
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C.UTF-8"},
)


@pytest.mark.parametrize("locale", LOCALES)
def test_every_locale_lists_the_models(locale):
    done = shell(f"{PROGRAM} list --json", **locale)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(json.loads(done.stdout)) > 300
    for words in ("list", "show alphapose/halpe", "cite demo_s", "lst", "list \u59ff"):
        done = shell(f"{PROGRAM} {words}", **locale)
        assert done.returncode in (0, 2)
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("locale", LOCALES)
def test_a_folder_whose_name_is_not_utf_8_is_named_in_an_error(locale, tmp_path):
    name = os.fsencode(tmp_path / "o") + b"\xff"
    command = [sys.executable, "-m", "posebench", "report", "--records", name]
    for more in ([], ["--json"]):
        done = subprocess.run(
            [*command, *more], capture_output=True, check=False, env=os.environ | locale
        )
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"].startswith("There is no folder")


# --- Ctrl-C ---------------------------------------------------------------------------------------


def test_nothing_is_imported_before_an_interrupt_has_a_meaning():
    """What stands before it is the time in which Ctrl-C still is a traceback."""
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import posebench.__main__\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) <= {
        *("__future__", "posebench", "posebench.__main__", "posebench.version"),
    }


EARLY = ("posebench.cli", "posebench.cli.main", "posebench.cli.terminal", "argparse", "errno")
LATER = (
    "posebench.cli.list",
    "posebench.registry",
    "pydantic",
    "yaml",
    "posebench.evaluation.listing",
)


@pytest.mark.parametrize("module", [*EARLY, *LATER])
def test_control_c_during_imports_is_one_line(module):
    code = (
        "import os, signal, sys\n"
        "class AtImport:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "from posebench import __main__ as program\n"
        f"sys.modules.pop({module!r}, None)\n"
        "sys.meta_path.insert(0, AtImport())\n"
        "sys.argv = ['posebench', 'list']\n"
        "program.entry_point()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "posebench: interrupted.\n")
    assert done.stdout == ""


@pytest.mark.parametrize("swallowed", ["raise ImportError('broken')", "pass"])
def test_control_c_that_a_library_turns_into_something_else_still_counts(swallowed):
    body = {
        "raise ImportError('broken')": "    raise ImportError('broken')\n",
        # in a callback of the import system nothing can be raised; Python prints and goes on
        "pass": "    class Callback:\n"
        "        def __del__(self):\n"
        "            raise KeyboardInterrupt\n"
        "    Callback()\n",
    }[swallowed]
    code = (
        "import os, signal, sys\n"
        "from posebench.cli import main\n"
        "import posebench.cli.list as verb\n"
        "def run(arguments):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n"
        "        pass\n"
        f"{body}"
        "    return 0\n"
        "verb.run = run\n"
        "sys.argv = ['posebench', 'list']\n"
        "main.entry_point()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "posebench: interrupted.\n")


def test_an_error_without_control_c_is_not_hidden():
    code = (
        "import sys\n"
        "from posebench.cli import main\n"
        "import posebench.cli.list as verb\n"
        "def run(arguments):\n"
        "    raise ZeroDivisionError('a bug')\n"
        "verb.run = run\n"
        "sys.argv = ['posebench', 'list']\n"
        "main.entry_point()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError: a bug")


def test_who_ignores_control_c_goes_on_ignoring_it():
    """As a shell's background jobs and nohup do."""
    code = (
        "import os, signal, sys\n"
        "from posebench import __main__ as program\n"
        "import posebench.cli.list as verb\n"
        "verb.run = lambda arguments: os.kill(os.getpid(), signal.SIGINT) or 0\n"
        "sys.argv = ['posebench', 'list']\n"
        "program.entry_point()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
