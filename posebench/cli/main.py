"""``posebench VERB``: finds the verb, turns errors into one sentence and an exit status.

Exit status: 0 done, 1 a check did not hold, 2 something the user can mend, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from posebench.cli.common import Parser, command_line, print_json
from posebench.types.errors import UserError

VERBS = {
    "list": "the models of the registry, with what each still needs to run",
    "show": "everything known about one model: claims, protocols, weights, licence",
    "eval": "evaluate a model on a dataset and hold the result against its claims",
    "merge": "join the shares of `eval --shard` into one record",
    "explain": "which choices of evaluation stand between a claim and another protocol",
    "score": "score saved predictions again, also those of other tools",
    "compare": "two sets of predictions: their difference, its interval and p-value",
    "diagnose": "which errors cost how much: jitter, inversion, swap, miss, background, score",
    "demo": "evaluate and time the shipped models on drawn images, and write a page",
    "speed": "time models, the network alone and from image file to keypoints",
    "verify": "hold networks and file formats against what the zoos' own code computed",
    "fetch": "download weights and datasets, checked and resumable",
    "cache": "the fetched weights: list, verify, prune",
    "doctor": "what works on this machine, what does not, and the command that mends it",
    "convert": "copy published weights into a safetensors file",
    "report": "make a page from stored records",
    "migrate": "rewrite stored records of earlier schema versions",
    "nightly": "measure a suite, hold it against earlier nights, and say what moved and why",
    "cite": "BibTeX for a model, its dataset and posebench",
    "zoo": "rows of an optional zoo, written from its installed package",
}
USAGE = """\
usage: posebench [--version] [--help] VERB ...

Does a published 2D human pose model do what its zoo says, under which protocol, and how fast?

verbs:
{verbs}

for every verb:
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
    try:
        return _dispatch(words)
    except UserError as error:
        return _refused(error, as_json=as_json)
    except MemoryError:
        hint = "Give a smaller --batch-size and fewer --threads, or use a larger machine."
        return _refused(UserError("Out of memory.", hint), as_json=as_json)
    except KeyboardInterrupt:
        print("posebench: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader (head, less) has seen enough
        _forget_stdout()
        return OK
    except OSError as error:
        if error.errno not in FULL:
            raise
        return _refused(_unwritten(error), as_json=False)


def entry_point() -> None:
    """Run the ``posebench`` command."""
    status = INTERRUPTED
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
    except OSError as error:
        status = _refused(_unwritten(error), as_json=False)
    # all is done: from here on Ctrl-C just ends the process, without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


def _refused(error: UserError, *, as_json: bool) -> int:
    if as_json:
        print_json({"error": error.message, "hint": error.hint})
    else:
        print(f"posebench: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
    return USER_ERROR


def _unwritten(error: OSError) -> UserError:
    _forget_stdout()
    return UserError(
        f"{error.filename or 'The output'} cannot be written: {error.strerror}.",
        "Free some space, or write somewhere else.",
    )


def _forget_stdout() -> None:
    """Keep the interpreter's last flush silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(words: list[str]) -> int:
    verb_at = _verb_position(words)
    before = words[: len(words) if verb_at is None else verb_at]
    if verb_at is None:
        return _without_verb(before)
    verb = words[verb_at]
    if verb == "help":
        return _dispatch([*words[verb_at + 1 :][:1], "--help"])
    if verb not in VERBS:
        raise UserError(f"There is no verb {verb!r}.", _guess(verb))
    module = import_module(f"posebench.cli.{verb}")
    parser = Parser(verb, VERBS[verb], module.EXAMPLES)
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
        from posebench import __version__

        if "--json" in words:
            print_json({"posebench": __version__})
        else:
            print(f"posebench {__version__}")
        return OK
    unknown = [w for w in words if w.startswith("-") and w not in ("--json", "--help", "-h")]
    if unknown:
        raise UserError(f"A verb is missing before {unknown[0]}.", "`posebench --help` lists them.")
    verbs = "\n".join(f"  {verb:7} {words}" for verb, words in VERBS.items())
    print(USAGE.format(verbs=verbs), end="")
    return OK


def _guess(verb: str) -> str:
    from posebench.registry.validate import suggestion

    guess = suggestion(verb, VERBS)
    return (
        f"{guess} `posebench --help` lists them all."
        if guess
        else f"The verbs are {', '.join(VERBS)}."
    )
