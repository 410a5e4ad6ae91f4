"""The results of ``accelerator.py`` as a page of markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from posebench.inference.forms import allowed_difference
from posebench.timing.forward import TOLERANCES

CLOSE = 0.01  # percent points that the device's metrics may differ from the CPU's

Result = dict[str, Any]


def page(content: dict[str, Any], command: str) -> str:
    """Return the results as markdown."""
    machine, results = content["machine"], content["results"]
    lines = ["# On an accelerator", "", f"Written by `{command}`.", ""]
    lines += [f"{machine['hardware']} ({machine['device']}), torch {machine['torch']}.", ""]
    lines += _waiting_lines(_of(results, "waiting"))
    lines += _parity_lines(_of(results, "parity"), machine["device"])
    lines += _table(
        "The same accuracy",
        f"A metric may differ from the CPU's by {CLOSE} percent points.",
        ("model", "metric", "device", "cpu", "largest difference of any metric"),
        [
            (key, r["metric"], f"{r['device']:.3f}", f"{r['cpu']:.3f}", f"{r['largest']:.4f}")
            for key, r in _done(_of(results, "accuracy"))
        ],
    )
    lines += _table(
        "From image files to keypoints",
        "",
        ("model", "persons", "batch", "predict, persons/s", "network alone", "ratio"),
        [
            (key, r["persons"], r["batch"], r["predict"], r["network"], r["ratio"])
            for key, r in _done(_of(results, "pipeline"))
        ],
    )
    lines += _speed_lines(_of(results, "speed"))
    return "\n".join([*lines, *_failures(results)]) + "\n"


def _of(results: dict[str, Result], kind: str) -> dict[str, Result]:
    """The results of a kind by the rest of their keys."""
    start = f"{kind}/"
    return {key.removeprefix(start): r for key, r in results.items() if key.startswith(start)}


def _done(found: dict[str, Result]) -> list[tuple[str, Result]]:
    return [(key, result) for key, result in found.items() if "failure" not in result]


def _table(title: str, words: str, head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    if not rows:
        return []
    lines = [f"## {title}", "", *[words, ""] * bool(words)]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]


def _waiting_lines(found: dict[str, Result]) -> list[str]:
    rows = []
    for key, result in _done(found):
        said = {None: "not checked on a CPU", False: "no"}.get(result["waits"], result["waits"])
        rows.append((key, said, result.get("equal", "-")))
    words = "One batch with flip: does the host wait, and are the second batch's results the same?"
    return _table("Waiting inside a batch", words, ("decoding", "waits", "equal"), rows)


def _parity_lines(found: dict[str, Result], device: str) -> list[str]:
    allowed = allowed_difference(device)
    rows = [
        (key, f"{r['fp32']:.1e}", f"{r['tf32']:.1e}", "yes" if r["fp32"] <= allowed else "**no**")
        for key, r in sorted(_done(found), key=lambda pair: -pair[1]["fp32"])
    ]
    words = (
        f"Largest difference to the CPU's outputs over their peak; {allowed:.0e} is allowed in "
        f"float32, {TOLERANCES['tf32']:.0e} with TF32, which evaluations never use."
    )
    return _table("Parity", words, ("model", "float32", "TF32", "within"), rows)


def _speed_lines(found: dict[str, Result]) -> list[str]:
    cells: dict[str, list[Result]] = {}
    for key, result in _done(found):
        cells.setdefault(key.rpartition("/")[0], []).append(result)
    rows = []
    for key, repeats in cells.items():
        rates = [result["forward"] for result in repeats]
        middle = float(np.median(rates))
        joules = [result["joules"] for result in repeats if result["joules"] is not None]
        whole = [result["end to end"] for result in repeats if "end to end" in result]
        rows.append(
            (
                *(key, len(rates), f"{middle:,.1f}", f"{(max(rates) - min(rates)) / middle:.1%}"),
                f"{np.median(whole):,.1f}" if whole else "-",
                f"{np.median(joules):,.1f}" if joules else "-",
                f"{max(result['error'] for result in repeats):.0e}",
            )
        )
    head = ("model / batch / precision", "times", "persons/s", "range of the times",
            "end to end", "J for 1,000", "difference")  # fmt: skip
    return _table("Speed", "Medians of the times; the range is largest less smallest.", head, rows)


def _failures(results: dict[str, Result]) -> list[str]:
    failed = [(k, r["failure"]) for k, r in results.items() if "failure" in r]
    return _table("Failures", "", ("task", "why"), failed)
