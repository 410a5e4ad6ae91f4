"""The page of an explanation: every number, every text escaped."""

from __future__ import annotations

from html.parser import HTMLParser

import make

from posebench.site.explanation import render_explanation, write_explanation
from posebench.types.explanation import Cell, Explanation, Share


def explanation(**changes):
    fields = {
        "entry": "zoo/<script>alert(1)</script>",
        "dataset": "coco",
        "metric": "AP",
        "claim": 68.8,
        "start": make.protocol(),
        "end": make.protocol(flip=False),
        "measured_start": 67.22,
        "measured_end": 65.76,
        "shares": (Share(axis="flip", start="flip", end="no flip", value=-1.46),),
        "grid": (
            Cell(choices={"flip": "flip"}, measured=67.22, distance=-1.58),
            Cell(choices={"flip": "no flip"}, measured=None, distance=None),
        ),
        "unmet": ("box_file: a -> b",),
        "persons": 68,
        "complete": False,
    }
    return Explanation(**(fields | changes))


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_says_everything_and_runs_nothing(tmp_path):
    page = render_explanation(explanation())
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.seen
    assert "&lt;script&gt;" in page
    for words in ("67.22", "65.76", "-1.46", "-1.58", "68 persons", "box_file: a -&gt; b"):
        assert words in page
    write_explanation(explanation(claim=None), tmp_path / "deep" / "page.html")
    assert "Best first." in (tmp_path / "deep" / "page.html").read_text()
