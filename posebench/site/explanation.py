"""An ``Explanation`` as one page without further files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import jinja2

from posebench.files import write_whole
from posebench.site.text import valid_html
from posebench.types.explanation import Explanation


def write_explanation(found: Explanation, path: Path) -> None:
    """Write the page.

    Raises:
        UserError: It cannot be written.
    """
    write_whole(path, render_explanation(found).encode())


def render_explanation(found: Explanation) -> str:
    """Return the page's HTML; every text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("posebench.site", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("posebench.site") / "templates" / "site.css").read_text()
    widest = max((abs(share.value) for share in found.shares), default=1.0) or 1.0
    template = environment.get_template("explanation.html.j2")
    return valid_html(template.render(found=found, style=style, widest=widest))
