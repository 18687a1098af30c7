"""The trained models that come with the package: one-bit Mamba-2 on bytes, packed, with their cards beside them."""

from __future__ import annotations

from pathlib import Path

from .packed import PackedModel, read_packed
from .published import SHIPPED

WEIGHTS = Path(__file__).parent / "weights"


def shipped_names() -> tuple[str, ...]:
    """Names that ``load_shipped`` takes."""
    return tuple(SHIPPED)


def weights_path(name: str) -> Path:
    """Where the packed weights of a shipped model stand.

    Raises ``ValueError`` naming the shipped models.
    """
    if name not in SHIPPED:
        raise ValueError(f"no shipped model is called {name!r}; shipped are {', '.join(SHIPPED)}")
    return WEIGHTS / f"{name}.xnor"


def load_shipped(name: str) -> PackedModel:
    """The packed model of that name. Raises ``ValueError`` naming the shipped models."""
    return read_packed(weights_path(name))
