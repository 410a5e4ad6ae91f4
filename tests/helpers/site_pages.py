"""Reads and checks the pages of a site, without a browser."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import html5lib

VOID = frozenset({"meta", "link", "img", "source", "br", "input"})


class Page(HTMLParser):
    """Collects tags, links, ids and text; complains about tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "srcset", "href")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data


def check_site(folder: Path) -> int:
    """Check every page: without parse errors of HTML5, ids once, every link leads to a file or id.

    Returns:
        The number of pages.
    """
    pages = {path: Page(path.read_text()) for path in folder.rglob("*.html")}
    for path, page in pages.items():
        parser = html5lib.HTMLParser()
        parser.parse(path.read_text())
        assert parser.errors == [], path
        assert len(page.ids) == len(set(page.ids)), path
        for link in page.links:
            address, _, place = link.partition("#")
            if address == "data:,":
                continue
            assert "://" not in address, f"{path}: {link}"
            target = (path.parent / address).resolve() if address else path
            assert target.is_file(), f"{path}: {link}"
            if place:
                assert place in pages[target].ids, f"{path}: {link}"
    return len(pages)
