"""``Space``: many designs, as the values of their fields along axes or as a list."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from ..designs.design import OneBitDesign

Offsets = npt.NDArray[np.int64]
_NAMES = ("kind", "name", "description")


@dataclass(frozen=True, eq=False)
class Axis:
    """Values of one field, ``path`` as in a design's YAML (``dram.bandwidth_gb_per_s``); whole designs where it is
    empty."""

    path: str
    values: tuple[Any, ...]

    def distinct(self, fields: Sequence[str]) -> tuple[tuple[Any, ...], Offsets]:
        """The values that tell ``fields`` apart, and [len(values)] which of them each value is like."""
        if self.path:
            if any(_touch(self.path, field) for field in fields):
                return self.values, np.arange(len(self.values))
            return self.values[:1], np.zeros(len(self.values), dtype=np.int64)
        if len(self.values) == 1:
            return self.values, np.zeros(1, dtype=np.int64)
        first: dict[Any, tuple[int, OneBitDesign]] = {}
        key_of, codes = key(fields), np.empty(len(self.values), dtype=np.int64)
        for index, design in enumerate(self.values):
            codes[index] = first.setdefault(key_of(design), (len(first), design))[0]
        return tuple(design for _, design in first.values()), codes


@dataclass(frozen=True, eq=False)
class Factor:
    """What a space has of some fields: ``designs``, one for every combination of their values, and for each axis and
    each of its values an offset; the offsets of a point's values sum to its place in ``designs``."""

    designs: tuple[OneBitDesign, ...]
    offsets: tuple[Offsets, ...]


@dataclass(frozen=True, eq=False)
class Space:
    """All combinations of the values of ``axes`` in a ``base``, the last axis fastest."""

    base: OneBitDesign
    axes: tuple[Axis, ...]

    @classmethod
    def product(cls, base: OneBitDesign, **axes: Iterable[Any]) -> Space:
        """Every combination of the values of ``axes`` in ``base``, the first axis slowest.

        An axis is a field of the design, or of a part of it by its path, as in YAML:
        ``Space.product(base, rows=[1, 2, 4], **{"dram.bandwidth_gb_per_s": [3.2, 6.4]})``.

        Raises ``ValueError`` naming the axis where there is no such field, where it has no values, where a value is
        not one that the field of ``base`` may have, and where two axes say the same.
        """
        checked = tuple(Axis(path, _checked(base, path, tuple(values))) for path, values in axes.items())
        for index, axis in enumerate(checked):
            for other in checked[:index]:
                if _touch(axis.path, other.path):
                    raise ValueError(f"axes {other.path} and {axis.path} set the same field; give one of them")
        return cls(base, checked)

    @classmethod
    def of(cls, designs: Iterable[OneBitDesign]) -> Space:
        """These designs, in this order. Raises ``ValueError`` where there are none, or one is no one-bit design."""
        values = tuple(designs)
        if not values:
            raise ValueError("no design is given; a space needs at least one")
        for design in values:
            if not isinstance(design, OneBitDesign):
                raise ValueError(f"{design.name} is of kind {design.kind}; a space has one_bit designs only")
        return cls(values[0], (Axis("", values),))

    @property
    def shape(self) -> tuple[int, ...]:
        """Values along each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, index: int) -> OneBitDesign:
        """The design of a point, 0 ≤ ``index`` < ``len``. Raises ``IndexError`` outside, ``ValueError`` where the
        values of several axes make no valid design together."""
        if not 0 <= index < len(self):
            raise IndexError(f"point {index} is not in a space of {len(self)}")
        design = self.base
        for axis, at in zip(self.axes, np.unravel_index(index, self.shape), strict=True):
            design = _with(design, axis.path, axis.values[at])
        return OneBitDesign.model_validate(design.model_dump())

    def factor(self, fields: Sequence[str]) -> Factor:
        """The combinations of ``fields`` that the space has."""
        designs: list[OneBitDesign] = [self.base]
        offsets: list[Offsets] = []
        for axis in self.axes:
            values, codes = axis.distinct(fields)
            designs = [_with(design, axis.path, value) for design in designs for value in values]
            offsets = [offset * len(values) for offset in offsets] + [codes]
        return Factor(tuple(designs), tuple(offsets))


def key(fields: Sequence[str]) -> attrgetter[Any]:
    """What gives the values of ``fields``, paths as in YAML, of a design."""
    return attrgetter(*fields)


def _touch(path: str, other: str) -> bool:
    """Whether one is the other, or a part of it."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")


def _with(design: OneBitDesign, path: str, value: Any) -> OneBitDesign:
    """``design`` with ``value`` at ``path``, not checked."""
    changed: OneBitDesign = _replaced(design, path.split("."), value) if path else value
    return changed


def _replaced(part: Any, path: Sequence[str], value: Any) -> Any:
    field, *rest = path
    return part.model_copy(update={field: _replaced(getattr(part, field), rest, value) if rest else value})


def _checked(base: OneBitDesign, path: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    part: Any = base
    for field in path.split("."):
        if not isinstance(part, BaseModel) or field not in type(part).model_fields or path in _NAMES:
            raise ValueError(f"axis {path}: {base.name} has no such field to vary")
        part = getattr(part, field)
    if not values:
        raise ValueError(f"axis {path} has no values; give at least one")
    for value in values:
        try:
            OneBitDesign.model_validate(_with(base, path, value).model_dump(warnings=False))
        except ValidationError as error:
            fault = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ValueError(f"axis {path}: {value!r} is not possible in {base.name}: {fault}") from None
    return values
