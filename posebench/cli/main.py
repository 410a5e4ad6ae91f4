"""``posebench VERB``: finds the command, turns errors into one sentence and an exit status.

Exit status: 0 done, 1 a check did not hold, 2 something the user can fix, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any

from posebench.cli import terminal
from posebench.cli.parser import Parser, command_line, option
from posebench.cli.terminal import claimed, emit, print_json
from posebench.types.errors import UserError, WrongArgument

COMMANDS = {
    "list": "the models of the registry, with what each still needs to run",
    "show": "everything known about one model: claims, protocols, weights, licence",
    "eval": "evaluate a model on a dataset and compare the result with its claims",
    "merge": "join the shares of `eval --shard` into one record",
    "explain": "which choices of evaluation stand between a claim and another protocol",
    "score": "score saved predictions again, also those of other tools",
    "compare": "two sets of predictions: their difference, its interval and p-value",
    "diagnose": "which errors cost how much: jitter, inversion, swap, miss, background, score",
    "demo": "evaluate and time the shipped models on drawn images, and write a page",
    "speed": "time models, the network alone and from image file to keypoints",
    "verify": "compare networks and file formats with what the zoos' own code computed",
    "fetch": "download weights and datasets, checked and resumable",
    "cache": "the fetched weights: list, verify, prune",
    "doctor": "what works on this machine, what does not, and the command that fixes it",
    "convert": "copy published weights into a safetensors file",
    "report": "make a page from stored records",
    "migrate": "rewrite stored records of earlier schema versions",
    "nightly": "measure a suite, compare it with earlier nights, and say what moved and why",
    "cite": "BibTeX for a model, its dataset and posebench",
}
USAGE = """\
usage: posebench [--version] [--help] VERB ...

Does a published 2D human pose model do what its zoo says, under which protocol, and how fast?

commands:
{commands}

for every command:
  --json          JSON alone on stdout, errors too
  --registry DIR  a folder of further models (repeatable; also POSEBENCH_REGISTRY)
  --help          its options, with examples

examples:
  posebench demo
  posebench list --zoo lpn
  posebench eval --help
"""
OK, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130
# What a disk that takes no more says.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit status.

    Args:
        arguments: Without the program's name; default those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    with claimed():
        try:
            return _dispatch(words)
        except UserError as error:
            return _refused(error, as_json=as_json)
        except MemoryError:
            hint = "Give a smaller --batch-size and fewer --threads, or use a larger machine."
            return _refused(UserError("Out of memory.", hint), as_json=as_json)
        except KeyboardInterrupt:
            return _interrupted()
        except UnicodeEncodeError as error:
            return _refused(_unnamed(error), as_json=as_json)
        except BrokenPipeError:
            # the reader (head, less) has seen enough
            terminal.forget()
            return OK
        except OSError as error:
            if error.filename is not None and error.errno not in FULL:
                return _refused(_unusable(error), as_json=as_json)
            terminal.forget()
            return _refused(_unwritten(error), as_json=False)


def entry_point() -> None:
    """Run the ``posebench`` command in a process of its own."""
    signals = _Signals()
    terminal.take_over()
    status: Any = INTERRUPTED
    try:
        status = main()
        terminal.flush()
    except SystemExit as end:  # --help
        status = _flushed(end.code)
    except KeyboardInterrupt:
        status = _interrupted()
    except BrokenPipeError:
        terminal.forget()
        status = OK
    except OSError as error:
        terminal.forget()
        status = _refused(_unwritten(error), as_json=False)
    except Exception:
        if not signals.interrupted:
            raise
        status = _interrupted()
    # all is done: from here on Ctrl-C just ends the process, without a traceback
    signals.over()
    sys.exit(status)


class _Signals:
    """Ctrl-C as ``KeyboardInterrupt``, also where a library turns it into an error of its own.

    Imports swallow interrupts that come at the wrong moment: a C extension reports another error,
    a callback of the import system prints a traceback and goes on.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._heard = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        if self._heard:
            signal.signal(signal.SIGINT, self._note)
            sys.unraisablehook = self._unraisable

    def over(self) -> None:
        """End the process at the next Ctrl-C."""
        if self._heard:
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        raise KeyboardInterrupt

    @staticmethod
    def _unraisable(found: Any) -> None:
        if isinstance(found.exc_value, KeyboardInterrupt):
            # nothing can be raised here; files are whole or absent whenever a process ends
            os._exit(_interrupted())
        sys.__unraisablehook__(found)


def _flushed(status: Any) -> Any:
    try:
        terminal.flush()
    except BrokenPipeError:
        terminal.forget()
    except OSError as error:
        terminal.forget()
        return _refused(_unwritten(error), as_json=False)
    return status


def _refused(error: UserError, *, as_json: bool) -> int:
    if isinstance(error, WrongArgument):  # here its name is that of an option
        error = error.spelled(option(error.argument))
    if as_json:
        print_json({"error": error.message, "hint": error.hint})
    else:
        emit(f"posebench: {error.message}", error=True)
        if error.hint:
            emit(f"  {error.hint}", error=True)
    return USER_ERROR


def _interrupted() -> int:
    emit("posebench: interrupted.", error=True)
    return INTERRUPTED


def _unwritten(error: OSError) -> UserError:
    return UserError(
        f"{error.filename or 'The output'} cannot be written: {error.strerror}.",
        "Free some space, or write somewhere else.",
    )


def _unusable(error: OSError) -> UserError:
    return UserError(
        f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}.",
        "Check that it exists and that you may use it, or name another one.",
    )


def _unnamed(error: UnicodeEncodeError) -> UserError:
    """A name of a file, or a text, that this locale's encoding has no bytes for."""
    return UserError(
        f"{error.object!r} cannot be written in this environment's encoding, {error.encoding}.",
        "Set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or give a name in plain letters.",
    )


def _dispatch(words: list[str]) -> int:
    verb_at = _verb_position(words)
    before = words[: len(words) if verb_at is None else verb_at]
    if verb_at is None:
        return _without_verb(before)
    verb = words[verb_at]
    if verb == "help":
        return _dispatch([*words[verb_at + 1 :][:1], "--help"])
    if verb not in COMMANDS:
        _check_order(before)
        raise UserError(f"There is no command {verb!r}.", _guess(verb))
    module = import_module(f"posebench.cli.{verb}")
    parser = Parser(verb, COMMANDS[verb], module.EXAMPLES)
    module.add_arguments(parser)
    options = before + words[verb_at + 1 :]
    parsed = parser.parse_args(options)
    parsed.command = command_line(verb, options)
    status: int = module.run(parsed)
    return status


def _verb_position(words: Sequence[str]) -> int | None:
    skip = False
    for position, word in enumerate(words):
        if skip:
            skip = False
        elif word == "--registry":
            skip = True
        elif not word.startswith("-"):
            return position
    return None


def _without_verb(words: Sequence[str]) -> int:
    if "--version" in words:
        from posebench.version import __version__

        if "--json" in words:
            print_json({"posebench": __version__})
        else:
            emit(f"posebench {__version__}")
        return OK
    _check_order(words)
    commands = "\n".join(f"  {verb:7} {words}" for verb, words in COMMANDS.items())
    emit(USAGE.format(commands=commands).rstrip("\n"))
    return OK


def _check_order(before: Sequence[str]) -> None:
    """Refuse options of a command where the command is missing."""
    known = ("--json", "--help", "-h", "--registry")
    unknown = [word for word in before if word.startswith("-") and word not in known]
    if unknown:
        raise UserError(f"A verb is missing before {unknown[0]}.", "`posebench --help` lists them.")


def _guess(verb: str) -> str:
    from posebench.types.suggestions import suggestion

    guess = suggestion(verb, COMMANDS)
    return (
        f"{guess} `posebench --help` lists them all."
        if guess
        else f"The commands are {', '.join(COMMANDS)}."
    )
