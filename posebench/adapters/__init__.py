"""From a registry row and a weights file to a model, by naming scheme and not by zoo.

Importing this package imports no torch.
"""

from __future__ import annotations

from posebench.adapters.catalogue import ADAPTERS, FOREIGN, absent_packages
from posebench.adapters.loading import load_model

__all__ = ["ADAPTERS", "FOREIGN", "absent_packages", "load_model"]
