"""A thousand nights are read, compared and drawn with little work."""

from __future__ import annotations

from datetime import timedelta

import effort
import nightly_runs
import numpy as np

from posebench.nightly.history import append, read_history
from posebench.nightly.observation import observe

NIGHTS = 1000


def long_history(folder):
    """Histories of the made-up suite, as so many nights would have left them."""
    what, random = nightly_runs.suite(), np.random.default_rng(1)
    for cell in nightly_runs.cells_of(what):
        work = nightly_runs.Work(0)
        measure = work.timing if cell.kind == "speed" else work.evaluation
        seen = observe(cell, measure(cell), "", nightly_runs.FACTS, work.when)
        lines = []
        for night in range(NIGHTS):
            begun = nightly_runs.START + timedelta(days=night - NIGHTS)
            noise = random.normal(1, 0.01) if cell.kind == "speed" else 1.0
            values = {
                name: value.model_copy(update={"measured": value.measured * noise})
                for name, value in seen.values.items()
            }
            changes = {"night": f"{begun:%Y-%m-%dT%H:%M:%SZ}", "created": begun, "good": True}
            lines.append(seen.model_copy(update=changes | {"values": values}))
        append(folder / "history" / f"{cell.slug}.jsonl", lines)


def test_a_thousand_nights_are_compared_and_drawn(tmp_path):
    from posebench.site.pages import write_site

    long_history(tmp_path)
    ended = []
    work = effort.calls(
        lambda: ended.append(nightly_runs.run(tmp_path, nightly_runs.Work(0), site=write_site))
    )
    (night,) = ended
    assert {check.state for check in night.checks} == {"same"}
    for cell in nightly_runs.cells_of(nightly_runs.suite()):
        assert len(read_history(tmp_path / "history" / f"{cell.slug}.jsonl")) == NIGHTS + 1
    html = (tmp_path / "out" / "site" / "nightly.html").read_text()
    assert html.count("<svg") == len(night.checks)
    index = (tmp_path / "out" / "site" / "index.html").read_text()
    assert index.count('<a href="nightly.html">Nightly</a>') == 1
    assert work < 10_000_000, work  # 2.9 million; what grows with the square would be billions
