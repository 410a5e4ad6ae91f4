from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import make_records as make
import pytest

from posebench.report import write_site
from posebench.report.data import page
from posebench.report.figures import interactive_figure, static_figure
from posebench.report.site import render
from posebench.types.errors import UserError


class Reader(HTMLParser):
    """Collects tags, links and text, and complains about unbalanced tags."""

    VOID = frozenset({"meta", "link", "img", "source", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "srcset", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_site_is_whole_and_needs_no_network(tmp_path):
    index = write_site(make.demo(), tmp_path / "demo")

    html = index.read_text()
    reader = Reader(html)
    for link in reader.links:
        assert link == "data:," or (index.parent / link).stat().st_size > 100, link
    for file in ("index.html", "site.css", "figure.js"):
        assert not re.search(r"https?://", (index.parent / file).read_text()), file
    assert "Plotly" in (index.parent / "plotly.min.js").read_text()[:100_000]
    assert (index.parent / "accuracy_speed_light.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_shows_what_was_claimed_and_measured():
    html = render(page([make.evaluation(measured=67.224, verdict="differs")]))
    reader = Reader(html)
    for words in ("AP 61.23", "67.22", "64.7 to 69.5", "+5.99", "differs", "1,040", "100 %"):
        assert words in reader.text
    assert "ground-truth boxes, flip shifted by one cell" in reader.text
    assert "whole dataset under the claim's protocol, and not equal" in reader.text


def test_a_subset_is_marked():
    whole = render(page([make.evaluation()]))
    part = make.evaluation(verdict="not contradicted (n=68)", complete=False)
    html = render(page([part, make.timing()]))

    assert '<tr class="subset">' in html
    assert '<tr class="subset">' not in whole
    assert "badge weak" in html
    assert "badge good" not in html
    assert "hollow marker" in html


def test_what_was_not_measured_is_a_dash_not_nan():
    html = render(page([make.evaluation(measured=None, verdict="no claim")]))
    assert "nan" not in html.casefold()
    assert re.search(r'data-label="Measured">-<', html)


def test_everything_a_record_says_is_escaped():
    evil = "<script>alert(1)</script>"
    odd = make.evaluation(
        entry=make.entry("demo_s", (make.claim(),), title=evil),
        command=f"posebench {evil}",
        verdict=evil,
        environment=make.environment(platform=evil),
        timings=make.timing().timings.model_copy(update={"device": f"</script>{evil}"}),
    )
    html = render(page([odd]))
    assert evil not in html
    assert Reader(html).tags.count("script") == 3


def test_without_timings_the_page_says_so():
    html = render(page([make.evaluation()]))
    assert "No model here has both an accuracy and a timing." in html
    assert "plotly" not in html
    assert "These records speak about no published claim." in render(page([]))


def test_both_figures_hold_the_same_points():
    points = page(make.demo()).points
    figure = interactive_figure(points)

    (trace,) = figure["data"]
    assert trace["x"] == [point.speed for point in points]
    assert trace["y"] == [point.accuracy for point in points]
    assert trace["error_y"]["array"] == pytest.approx([2.25] * 3)
    assert trace["error_y"]["arrayminus"] == pytest.approx([2.5] * 3)
    svg = static_figure(points, "light", "svg").decode()
    for point in points:
        assert f">{point.name}<" in svg


def test_plotly_accepts_the_figure():
    import plotly.graph_objects as go

    slow = make.timing("demo_l", 20.0)
    figure = interactive_figure(page([*make.demo(), slow]).points)
    go.Figure(json.loads(json.dumps(figure)))
    assert figure["layout"]["xaxis"]["type"] == "log"


def test_drawing_again_gives_the_same_bytes():
    points = page(make.demo()).points
    assert static_figure(points, "dark", "svg") == static_figure(points, "dark", "svg")
    assert static_figure(points, "dark", "svg") != static_figure(points, "light", "svg")


def test_a_subset_has_a_hollow_marker():
    part = make.evaluation(complete=False)
    (trace,) = interactive_figure(page([part, make.timing()]).points)["data"]
    assert trace["marker"]["symbol"] == ["circle-open"]
    assert trace["text"] == ["demo_s (subset, n=68)"]


def test_an_output_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_site(make.demo(), tmp_path / "file" / "site")
