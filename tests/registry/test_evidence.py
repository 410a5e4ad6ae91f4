"""One rule for all zoos tells how it is known under which protocol a number was made.

``stated`` needs a page, or a file that it names for the row, that says every choice that moves the
number; see ``posebench.types.entry.Claim``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posebench.registry import shipped_registry
from posebench.types.entry import Claim, Entry
from posebench.types.protocol import Protocol

pytestmark = pytest.mark.light

# How a page would say a choice; of several words one is enough.
FLIP = re.compile("flip", re.IGNORECASE)
DECODE = {
    "quarter": "quarter",
    "dark": "dark",
    "softargmax": "soft-?argmax",
    "integral_sigmoid": "integral",
    "combined": "integral",
    "associative_embedding": "group|associative",
}
BOXES = {
    "gt": "ground.?truth",
    "detector": "detector",
    "annotation": "annotat|centre|center",
    "none": "",
}
RESCORING = "rescor|instance score|box score"
NMS = r"\bnms\b|suppress"


def _unsaid(text: str, protocol: Protocol) -> list[str]:
    """The choices of a protocol that a page does not speak of."""
    words = {
        "boxes": BOXES[protocol.boxes],
        "flip": FLIP.pattern,
        "decode": DECODE.get(protocol.decode, protocol.decode),
        "rescoring": RESCORING if protocol.rescoring != "none" else "",
        "nms": NMS if protocol.boxes not in ("annotation", "none") else "",
    }
    return [axis for axis, word in words.items() if not re.search(word, text, re.IGNORECASE)]


def _accuracies() -> list[tuple[Entry, Claim]]:
    entries = shipped_registry().entries
    return [(entry, claim) for entry in entries for claim in entry.claims if claim.is_accuracy]


def test_stated_needs_a_file_that_says_every_choice() -> None:
    """MMPose's pages name a configuration for each row; our own script measures what it names."""
    for entry, claim in _accuracies():
        if claim.evidence == "stated":
            own = entry.zoo == "demo"
            assert own or "config" in entry.network.arguments, (entry.key, claim)


def test_no_page_of_the_other_zoos_says_every_choice(shared: Path) -> None:
    """Otherwise its claims would have to be called stated."""
    protocols = shipped_registry().protocols
    pages: dict[str, str] = {}
    checked = 0
    for entry, claim in _accuracies():
        path = shared / "zoo_pages" / claim.source.page
        if path.is_file():
            text = pages.setdefault(path.name, path.read_text(encoding="utf-8"))
            unsaid = _unsaid(text, protocols[claim.protocol or ""])
            assert (claim.evidence == "stated") == (not unsaid), (entry.key, claim, unsaid)
            checked += 1
    assert checked > 300


def test_rows_in_the_same_situation_have_the_same_evidence() -> None:
    found: dict[tuple[str, str | None], set[str]] = {}
    for entry, claim in _accuracies():
        if entry.zoo != "mmpose":  # there each row has a file of its own
            found.setdefault((claim.source.page, claim.protocol), set()).add(claim.evidence)
    assert {key: words for key, words in found.items() if len(words) > 1} == {}


# --- misprints -----------------------------------------------------------------------------------


def test_fpd_s_prose_is_marked_where_its_table_contradicts_it() -> None:
    marked = {
        entry.key: [(claim.raw, claim.misprint) for claim in entry.claims if claim.misprint]
        for entry in shipped_registry().entries
    }
    assert {key: pairs for key, pairs in marked.items() if pairs} == {
        "fpd/hourglass_student_mpii_256x256": [("89.040", "87.934")],
        "fpd/hourglass_student_fpd_mpii_256x256": [("87.934", "89.040")],
    }


def test_a_misprint_is_never_judged() -> None:
    from posebench.evaluation.protocols import matching_claims

    registry = shipped_registry()
    entry = registry.find("fpd/hourglass_student_mpii_256x256")
    matched = matching_claims(entry, registry, [registry.protocol("hrnet_mpii")])
    raws = [claim.raw for claim, _, _ in matched if claim.metric == "PCKh@0.5"]
    assert raws == ["87.934"]
    assert entry.primary is not None and entry.primary.raw == "87.934"
    first = entry.model_copy(update={"claims": tuple(reversed(entry.claims))})
    assert first.primary is not None and first.primary.misprint is None


def test_a_misprint_names_a_number_that_is_printed() -> None:
    entry = shipped_registry().find("fpd/hourglass_student_mpii_256x256")
    wrong = [c.model_copy(update={"misprint": "12.3"}) if c.misprint else c for c in entry.claims]
    fields = entry.model_dump() | {"claims": [claim.model_dump() for claim in wrong]}
    with pytest.raises(ValueError, match=r"misprint of 12\.3, which no other claim"):
        Entry.model_validate(fields)
