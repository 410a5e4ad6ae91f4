"""A nightly run as JUnit XML: every number is a test case, every cell a class."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from posebench.nightly.nightly_run import NightlyRun

# What XML 1.0 cannot hold, however it is escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TAGS = {"changed": "failure", "worse": "failure", "failed": "error", "not judged": "skipped"}


def junit(run: NightlyRun) -> bytes:
    """Return the XML.

    A regression is a ``failure``, what could not be run an ``error``, what was not judged is
    ``skipped``.
    """
    tags = [TAGS.get(check.state) for check in run.checks]
    suite = ElementTree.Element(
        "testsuite",
        name=f"posebench nightly {run.suite.name}",
        timestamp=run.id.rstrip("Z"),
        tests=str(len(tags)),
        failures=str(tags.count("failure")),
        errors=str(tags.count("error")),
        skipped=str(tags.count("skipped")),
    )
    for check, tag in zip(run.checks, tags, strict=True):
        # viewers cut class names at dots: entry and dataset become a path of packages
        path = (*check.entry.split("/"), check.dataset, check.key.partition(", ")[2])
        name = ".".join(part.replace(".", "_") for part in path if part)
        case = ElementTree.SubElement(
            suite, "testcase", classname=_legal(name), name=_legal(check.what or check.kind)
        )
        if tag:
            text = _legal("\n".join((check.words, *check.reasons)))
            message = text.partition("\n")[0]
            ElementTree.SubElement(case, tag, type=check.state, message=message).text = text
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
