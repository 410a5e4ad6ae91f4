"""From a registry row and a weights file to a model, by naming scheme and not by zoo.

Importing this package imports no torch.
"""

from __future__ import annotations

from posebench.adapters.loading import load_weights, random_model
from posebench.adapters.schemes import ADAPTERS, FOREIGN, absent_packages

__all__ = ["ADAPTERS", "FOREIGN", "absent_packages", "load_weights", "random_model"]
