"""Records in, pages out.

``data`` turns records into the rows and points a page shows, ``figures`` draws them, ``site``
renders templates and writes files.
"""

from __future__ import annotations

from posebench.report.site import write_site

__all__ = ["write_site"]
