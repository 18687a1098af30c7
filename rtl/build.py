"""From a design to its hardware: which component a unit is, and what its module is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from ..designs.design import Design, OneBitDesign
from .array import SystolicArray
from .config import ArrayConfig, CoreConfig
from .core import ArrayCore
from .layer import FbiLinear
from .settings import EngineConfig

Unit = Literal["array", "core", "layer"]
"""The array alone, the array with its memories, a whole FBI-Linear layer behind AXI."""
Benched = Literal["array", "layer"]
"""The units that have a bench, each ``bench.…_bench``."""


def build(design: Design, unit: Unit) -> tuple[Any, str]:
    """The Amaranth component of ``unit`` in ``design``, and the name of its module.

    Raises ``ValueError`` of one line for a design that is none of one-bit hardware or has a size that cannot be built.
    """
    if unit == "array":
        return SystolicArray(array_config(design)), "xnorscan_array"
    if unit == "layer":
        return FbiLinear(engine_config(design)), "xnorscan_layer"
    with _of(design):
        return ArrayCore(CoreConfig.of_design(one_bit(design))), "xnorscan_core"


def array_config(design: Design) -> ArrayConfig:
    """The array of ``design``. Raises as ``build`` does."""
    with _of(design):
        return ArrayConfig.of_design(one_bit(design))


def engine_config(design: Design) -> EngineConfig:
    """The engine of ``design``. Raises as ``build`` does."""
    with _of(design):
        return EngineConfig.of_design(one_bit(design))


def one_bit(design: Design) -> OneBitDesign:
    """``design``, if hardware can be generated for it. Raises ``ValueError``."""
    if not isinstance(design, OneBitDesign):
        raise ValueError(f"{design.name} is of kind {design.kind}: hardware is generated for designs of kind one_bit")
    return design


@contextmanager
def _of(design: Design) -> Iterator[None]:
    """What is refused inside is refused in the name of ``design``."""
    try:
        yield
    except ValueError as error:
        said = str(error)
        raise ValueError(said if said.startswith(design.name) else f"{design.name}: {said}") from None
