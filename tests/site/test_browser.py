"""The site in a real browser, opened from the file system."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from itertools import product
from pathlib import Path

import make_records as make
import pytest

from posebench.site.pages import write_site

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
EVIL = '<script>document.title = "broken"</script><img src=x onerror="document.title=\'broken\'">'
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]"


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium; the variable CHROMIUM may name one")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    """Our models, thirty timings, and a third party's record that tries to run something."""
    part = make.evaluation("part", 60.0, verdict="consistent (n=68)", complete=False)
    other = make.evaluation("off", 70.5, verdict="differs")
    row = make.entry("evil", (make.claim(),), title=EVIL, zoo="evil", dataset="coco")
    evil = make.timing("evil", 3000.0, entry=row, command=f"posebench {EVIL}")
    written = make.evaluation("evil", 50.0, verdict=EVIL, entry=row)
    records = [*make.demo(), part, other, *make.speeds(30), evil, written]
    return write_site(records, tmp_path_factory.mktemp("site"))


class Opened:
    """A page, what it said on the console and what it asked the network for."""

    def __init__(self, browser, path: Path, width: int = 1440, ready: bool = True) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.context.set_default_timeout(90_000)  # a machine may be busy
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        if ready and path.name == "index.html":
            self.page.wait_for_selector("html[data-figure=ready]")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.close()
        if error[0] is None:
            assert self.errors == []
            assert all(url.startswith(("file://", "data:", "blob:")) for url in self.asked)

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def rows(self, column: int = 0) -> list[str]:
        cells = f"#claims-table tbody tr:not([hidden]) > :nth-child({column + 1})"
        return self.page.locator(cells).all_inner_texts()

    def names(self) -> list[str]:
        return self.page.locator("#points-table tbody th a").all_text_contents()


PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 27)"}


@pytest.mark.parametrize("name", ["index.html", "models/demo-demo_s.html", "zoos/lpn.html"])
def test_pages_fit_their_width_in_both_themes(chromium, index, name):
    with Opened(chromium, index.parent / name) as opened:
        page = opened.page
        for width, theme in product((1440, 390), PAPER):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert paper == PAPER[theme]
            assert len(page.screenshot()) > 10_000


def test_nothing_of_a_record_runs(chromium, index):
    for path in [*sorted(index.parent.rglob("*evil*.html")), index]:
        with Opened(chromium, path) as opened:
            assert opened.page.title() != "broken"
            assert opened.count("img[src=x]") == 0
            assert "<script>document.title" in opened.page.inner_text("main")


def test_claims_are_filtered_sorted_and_saved(chromium, index):
    with Opened(chromium, index) as opened:
        page = opened.page
        assert len(opened.rows()) == 6
        page.select_option("[name=verdict]", "differs")
        assert ["off" in name for name in opened.rows()] == [True]
        assert page.inner_text("#claims-count") == "1 of 6 claims"
        page.fill("[name=text]", "nothing like that")
        assert page.is_visible("#claims-none")
        page.click("#claims-reset")
        assert len(opened.rows()) == 6

        # what was measured on a part is not counted, but can be chosen
        assert opened.count("a.count") == 0
        page.click("a.own-count >> text=1 differs")
        assert page.input_value("[name=verdict]") == "differs"
        assert ["off" in name for name in opened.rows()] == [True]
        page.select_option("#claims-filters [name=verdict]", "consistent (subset)")
        assert ["part" in name for name in opened.rows()] == [True]
        page.select_option("#claims-filters [name=verdict]", "")

        page.click("th[data-key=difference] button")
        found = [float(text.replace("\u2212", "-")) for text in opened.rows(3)]
        assert found == sorted(found)
        assert page.get_attribute("th[data-key=difference]", "aria-sort") == "ascending"
        page.click("th[data-key=difference] button")
        assert [float(t.replace("\u2212", "-")) for t in opened.rows(3)] == found[::-1]

        page.select_option("[name=sort]", "-measured")
        page.select_option("#claims-filters [name=zoo]", "demo")
        with page.expect_download() as saved:
            page.click("#claims-csv")
        table = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text())))
        assert [row["model"] for row in table][:2] == ["demo/demo_l", "demo/off"]
        assert len(table) == 5
        (part,) = (row for row in table if row["model"] == "demo/part")
        assert (part["subset"], part["persons"], part["verdict"]) == (
            "1", "68", "consistent (subset)",
        )  # fmt: skip


def test_the_figure_is_filtered_by_every_choice_and_changes_its_axis(chromium, index):
    with Opened(chromium, index) as opened:
        page = opened.page
        assert page.input_value("[name=dataset]") == "coco"
        every = opened.names()
        assert len(every) == 30
        page.select_option("#figure-filters [name=zoo]", "lpn")
        assert opened.names() and set(opened.names()) < set(every)
        page.select_option("#figure-filters [name=hardware]", "a processor, 2 threads")
        assert set(opened.names()) == {"net_6", "net_18"}
        page.select_option("#figure-filters [name=zoo]", "every")
        assert len(opened.names()) == 10
        page.select_option("#figure-filters [name=axis]", "parameters")
        assert page.text_content(".xtitle") == "Parameters, millions"
        # energy was not measured, so that it cannot be chosen
        assert page.locator("#figure-filters [name=axis] option[value=joules]").is_disabled()
        page.select_option("#figure-filters [name=dataset]", "synthetic")
        assert set(opened.names()) == {"demo_s", "demo_m", "demo_l", "evil"}
        assert "claimed" not in page.inner_text("#figure-words")


def test_a_marker_tells_how_to_run_it_again_and_leads_to_the_model(chromium, index):
    with Opened(chromium, index) as opened:
        page = opened.page
        page.select_option("#figure-filters [name=dataset]", "synthetic")
        marker = page.locator("path.point").first
        marker.scroll_into_view_if_needed()
        box = marker.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(*middle, steps=3)
        card = page.locator("#card")
        card.wait_for(state="visible")
        text = card.inner_text()
        name = re.match(r"demo_\w|evil", text)[0]
        assert "persons" in text.casefold()
        assert "posebench demo" in text or EVIL in text
        page.mouse.click(*middle)
        page.wait_for_url(f"**/models/*{name}.html")


def test_a_finger_opens_the_card_first(chromium, index):
    with Opened(chromium, index, width=390) as opened:
        page = opened.page
        marker = page.locator("path.point").first
        marker.scroll_into_view_if_needed()
        box = marker.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.locator("#card a").wait_for(state="visible")
        page.click("#card a")
        page.wait_for_url("**/models/*.html")


def test_the_keyboard_alone_is_enough(chromium, index):
    with Opened(chromium, index) as opened:
        page = opened.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.focus("th[data-key=model] button")
        page.keyboard.press("Enter")
        assert page.get_attribute("th[data-key=model]", "aria-sort") == "ascending"
        page.focus("#points-details summary")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')").startswith("models/")
        page.keyboard.press("Enter")
        page.wait_for_url("**/models/*.html")
        # every field has a name, every picture a text
        page.goto(index.as_uri())
        unnamed = "[...document.querySelectorAll('input, select')].filter((f) => !f.labels.length)"
        assert page.evaluate(f"{unnamed}.length") == 0
        assert opened.count("img:not([alt])") == 0


def test_five_hundred_records_are_painted_within_a_second(chromium, tmp_path):
    index = write_site(make.many(500), tmp_path)
    times = []
    for _ in range(3):
        with Opened(chromium, index, ready=False) as opened:
            opened.page.wait_for_function(PAINT)
            times.append(opened.page.evaluate(f"{PAINT}.startTime"))
            assert opened.count("#claims-table tbody tr") == 250
    assert min(times) < 1000
