"""``Trace``: a table of operations and what they are a trace of. pandas in, pandas out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

import pandas as pd

from .op import LEAST_STATISTIC, PLANE_STATISTICS, TRAFFIC, Op
from .table import SCHEMA, checked_table, to_frame

SCHEMA_VERSION = 1
"""Version of the columns and the metadata. It rises when either changes."""

Phase = Literal["prefill", "decode", "run"]
PHASES: tuple[str, ...] = get_args(Phase)

STATISTICS: tuple[str, ...] = (*PLANE_STATISTICS, *LEAST_STATISTIC)
"""Columns that only a recorded trace fills."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a trace is a trace of.

    ``model``: its name. ``phase``: ``prefill`` (one step over the prompt), ``decode`` (one token per sequence) or
    ``run`` (a prefill, then decode steps). ``batch``: sequences. ``prompt_length``: tokens per sequence that the
    prefill read, or that were already in the context of a lone decode step. ``new_tokens``: decode steps.
    ``precision``: the run's widths and modes by name. ``recorded``: True where the model really ran, False for a
    shape-only trace. ``versions``: of the software that made it. ``schema_version``: checked on read.

    Raises ``ValueError`` naming the field where a value is out of range.
    """

    model: str
    phase: Phase
    batch: int = 1
    prompt_length: int = 0
    new_tokens: int = 0
    precision: Mapping[str, int | str] = field(default_factory=dict)
    recorded: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        _check_version(self.schema_version)
        types = {"model": str, "phase": str, "recorded": bool, "precision": Mapping, "versions": Mapping}
        for name, kind in types.items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"metadata: {name} is {getattr(self, name)!r}, it must be of type {kind.__name__}")
        if not self.model:
            raise ValueError("metadata: model is empty, it must be the model's name")
        if self.phase not in PHASES:
            raise ValueError(f"metadata: phase is {self.phase!r}, it must be one of {', '.join(PHASES)}")
        for name, least in (("batch", 1), ("prompt_length", 0), ("new_tokens", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"metadata: {name} is {value!r}, it must be an integer of at least {least}")

    def to_json(self) -> str:
        """One JSON object with every field."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Metadata:
        """The value that ``to_json`` wrote.

        Raises ``ValueError`` on what is no JSON object, another schema version, a missing or unexpected field.
        """
        try:
            values: Any = json.loads(text)
        except ValueError:
            raise ValueError("metadata: not JSON, it must be one JSON object") from None
        if not isinstance(values, dict):
            raise ValueError(f"metadata: JSON {type(values).__name__}, it must be one JSON object")
        if "schema_version" in values:  # first: another version may well have other fields
            _check_version(values["schema_version"])
        known = [each.name for each in fields(cls)]
        for name in known:
            if name not in values:
                raise ValueError(f"metadata: field {name} is missing; it has {', '.join(known)}")
        for name in values:
            if name not in known:
                raise ValueError(f"metadata: field {name} is unexpected; it has {', '.join(known)}")
        return cls(**values)


def _check_version(version: object) -> None:
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"metadata: schema version is {version}, this xnorscan reads version {SCHEMA_VERSION}; "
            "make the trace again with it"
        )


@dataclass(frozen=True, eq=False)
class Trace:
    """Operations in the order in which they ran, and their metadata. Not to be changed in place.

    ``ops``: one row per operation, the columns of :class:`~xnorscan.traces.op.Op` in its order: ``name`` and ``kind``
    text; counts and bytes int64; ``saturations`` and ``max_abs`` nullable Int64; ``density`` and ``toggle`` object,
    each a tuple of floats (float32 values) or ``None``. Index 0, 1, ….

    Raises ``ValueError`` at construction as :func:`~xnorscan.traces.table.checked_table` does.
    """

    ops: pd.DataFrame
    metadata: Metadata

    def __post_init__(self) -> None:
        object.__setattr__(self, "ops", to_frame(checked_table(self.ops)))

    @classmethod
    def from_ops(cls, ops: Iterable[Op], metadata: Metadata) -> Trace:
        """A trace of these operations, in this order."""
        rows = [vars(op) for op in ops]
        columns = {name: pd.Series([row[name] for row in rows], dtype=object) for name in SCHEMA.names}
        return cls(pd.DataFrame(columns), metadata)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, metadata: Metadata) -> Trace:
        """A trace of the rows of ``frame``, checked; columns in any order, integers of any width."""
        return cls(frame, metadata)

    def to_frame(self) -> pd.DataFrame:
        """A copy of ``ops``, free to be changed."""
        return self.ops.copy()

    def summary(self) -> pd.DataFrame:
        """One row per (kind, name), in order of first appearance.

        Columns: ``kind``, ``name``, ``ops`` (rows), ``tokens``, ``macs`` (tokens·outputs·inputs of linears and
        conv1d, 0 elsewhere), the five byte columns summed, ``saturations`` summed and the greatest ``max_abs``
        (missing in a shape-only trace).
        """
        ops = self.ops
        macs = (ops["tokens"] * ops["outputs"] * ops["inputs"]).where(ops["kind"].isin(("linear", "conv1d")), 0)
        groups = ops.assign(macs=macs).groupby(["kind", "name"], sort=False)
        columns = {"ops": groups.size()} | {name: groups[name].sum() for name in ("tokens", "macs", *TRAFFIC)}
        columns |= {"saturations": groups["saturations"].sum(min_count=1), "max_abs": groups["max_abs"].max()}
        return pd.DataFrame(columns).reset_index()

    def collapse(self) -> pd.DataFrame:
        """Rows that are equal but for step, layer and statistics as one, with their ``count``.

        Order of first appearance. A model has 48 to 64 equal layers, and equal operations cost the same.
        """
        shape = [name for name in SCHEMA.names if name not in ("step", "layer", *STATISTICS)]
        return self.ops.groupby(shape, sort=False).size().reset_index(name="count")
