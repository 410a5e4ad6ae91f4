"""A night as JUnit XML: every number is a test case, every cell a class."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from posebench.nightly.changes import Check
from posebench.nightly.night import Night

# What XML 1.0 cannot hold, however it is escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(night: Night) -> bytes:
    """Return the XML.

    A regression is a ``failure``, what could not be run an ``error``, what was not judged is
    ``skipped``.
    """
    checks = night.checks
    suite = ElementTree.Element(
        "testsuite",
        name=f"posebench nightly {night.suite.name}",
        timestamp=night.id.rstrip("Z"),
        tests=str(len(checks)),
        failures=str(sum(check.bad for check in checks)),
        errors=str(sum(check.state == "failed" for check in checks)),
        skipped=str(sum(check.state == "not judged" for check in checks)),
    )
    for check in checks:
        suite.append(_case(check))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(check: Check) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=_legal(_class(check)), name=_legal(check.what or check.kind)
    )
    text = _legal("\n".join((check.words, *check.reasons)))
    if check.bad:
        _add(case, "failure", check.state, text)
    elif check.state == "failed":
        _add(case, "error", check.state, text)
    elif check.state == "not judged":
        _add(case, "skipped", check.state, text)
    return case


def _class(check: Check) -> str:
    """Viewers cut class names at dots: entry and dataset become a path of packages."""
    parts = (*check.entry.split("/"), check.dataset, check.key.partition(", ")[2])
    return ".".join(part.replace(".", "_") for part in parts if part)


def _add(case: ElementTree.Element, tag: str, kind: str, text: str) -> None:
    child = ElementTree.SubElement(case, tag, type=kind, message=text.partition("\n")[0])
    child.text = text


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
