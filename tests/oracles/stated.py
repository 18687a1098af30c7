"""Error figures that docstrings state, to be held against measured ones."""

from __future__ import annotations

import math
import re
from types import ModuleType


def stated(module: ModuleType, name: str) -> float:
    """The number that follows ``name`` in the docstring of ``module``.

    Raises ``AssertionError`` where there is none.
    """
    found = re.search(rf"\b{re.escape(name)} (\d[\d.e-]*\d|\d)", module.__doc__ or "")
    assert found, f"the docstring of {module.__name__} states no figure for {name!r}"
    return float(found[1])


def rounded_up(error: float) -> float:
    """``error`` rounded up to two significant digits: what a docstring states."""
    unit = math.floor(math.log10(error)) - 1
    return float(f"{math.ceil(error / 10.0**unit)}e{unit}")
