"""The columns of a trace: their types, and the checks that every table of operations must pass, all vectorised."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .op import KINDS, LEAST, LEAST_STATISTIC, PLANE_STATISTICS, TRAFFIC

_SHARES = pa.list_(pa.float32())
_MOST = 2.0**53
_WORK = (
    ("tokens", "outputs", "inputs"),
    ("tokens", "context", "heads", "headdim"),
    ("tokens", "heads", "headdim", "d_state"),
)
"""Columns whose products are counted; beyond ``_MOST`` a count would be rounded, and further on overflow."""


def _schema() -> pa.Schema:
    fields = [pa.field(name, pa.int64(), nullable=False) for name in LEAST]
    texts = [pa.field(name, pa.string(), nullable=False) for name in ("name", "kind")]
    fields[2:2] = texts  # after step and layer, as in Op
    fields += [pa.field(name, _SHARES) for name in PLANE_STATISTICS]
    fields += [pa.field(name, pa.int64()) for name in LEAST_STATISTIC]
    return pa.schema(fields)


SCHEMA: pa.Schema = _schema()
"""One column per field of :class:`~xnorscan.traces.op.Op`, in its order."""


def checked_table(frame: pd.DataFrame) -> pa.Table:
    """``frame`` as an Arrow table of ``SCHEMA``; columns may come in any order, the index is dropped.

    Integers may be of any width; ``density`` and ``toggle`` become float32, absent statistics may be ``None`` or NaN.

    Raises ``ValueError`` naming the column, the first wrong row and what would be right: a missing, unexpected or
    repeated column, a wrong type, a value missing or out of range, sizes whose product is beyond exact counting, a
    number of planes that is not ``activation_bits``.
    """
    _check_columns([str(column) for column in frame.columns])
    table = pa.Table.from_arrays([_array(frame[field.name], field) for field in SCHEMA], schema=SCHEMA)
    _check_rows(table)
    return table


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table as pandas: text, int64, nullable Int64, and shares as tuples of float or ``None`` (object)."""
    columns: dict[str, pd.Series] = {}
    for field in SCHEMA:
        column = table.column(field.name)
        if field.name in LEAST:
            columns[field.name] = pd.Series(column.to_numpy())
        elif field.name in LEAST_STATISTIC:
            columns[field.name] = column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        elif field.name in PLANE_STATISTICS:
            columns[field.name] = pd.Series(_tuples(column.combine_chunks()), dtype=object)
        else:
            columns[field.name] = column.to_pandas()
    return pd.DataFrame(columns)


def _tuples(column: pa.ListArray) -> list[tuple[float, ...] | None]:
    """The lists as tuples. Slices of one flat list take half the time of ``to_pylist``, which long runs feel."""
    if column.null_count == len(column):
        return [None] * len(column)
    flat = pc.list_flatten(column).to_numpy().tolist()
    ends = np.cumsum(pc.fill_null(pc.list_value_length(column), 0).to_numpy()).tolist()
    return [
        tuple(flat[start:end]) if there else None
        for start, end, there in zip([0, *ends], ends, column.is_valid().to_pylist(), strict=False)
    ]


def _check_columns(columns: list[str]) -> None:
    missing = [name for name in SCHEMA.names if name not in columns]
    if missing:
        raise ValueError(f"column {missing[0]} is missing; a trace has the columns {', '.join(SCHEMA.names)}")
    unexpected = [name for name in columns if name not in SCHEMA.names]
    if unexpected:
        raise ValueError(f"column {unexpected[0]} is unexpected; a trace has the columns {', '.join(SCHEMA.names)}")
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raise ValueError(f"column {repeated[0]} appears more than once, it must appear once")


def _array(series: pd.Series, field: pa.Field) -> pa.Array:
    wanted = {pa.int64(): "integers", pa.string(): "text", _SHARES: "lists of numbers"}[field.type]
    mistyped = f"column {field.name} holds {series.dtype}, it must hold {wanted}"
    try:
        array = pa.array(series, type=_SHARES if field.type == _SHARES else None, from_pandas=True)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if not _convertible(array.type, field):
            raise ValueError(mistyped)
        array = array.cast(field.type)
    except (pa.ArrowException, OverflowError):
        raise ValueError(mistyped) from None
    if not field.nullable and array.null_count:
        row = int(np.argmin(pc.is_valid(array).to_numpy(zero_copy_only=False)))
        raise ValueError(f"row {row}: {field.name} has no value, it must have one")
    return array


def _convertible(found: pa.DataType, field: pa.Field) -> bool:
    """Whether a cast to the field's type keeps the meaning: Arrow would also turn text and truth into integers."""
    if field.type == _SHARES or pa.types.is_null(found):
        return True
    if field.type == pa.string():
        return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_dictionary(found)
    # pandas turns an integer column with gaps into floats, hence floats (cast safely) where gaps are allowed.
    return pa.types.is_integer(found) or (field.nullable and pa.types.is_floating(found))


def _check_rows(table: pa.Table) -> None:
    names = table.column("name")
    empty = _first(pc.equal(names, ""))
    if empty is not None:
        raise ValueError(f"row {empty}: name is empty, an operation must have one")
    kinds = table.column("kind")
    wrong = _first(pc.invert(pc.is_in(kinds, pa.array(KINDS))))
    if wrong is not None:
        raise ValueError(f"{_at(table, wrong)}: kind is {kinds[wrong].as_py()!r}, it must be one of {', '.join(KINDS)}")
    for field, least in (LEAST | LEAST_STATISTIC).items():
        column = table.column(field)
        wrong = _first(pc.less(column, least))
        if wrong is not None:
            value = column[wrong].as_py()
            raise ValueError(f"{_at(table, wrong)}: {field} is {value}, it must be at least {least}")
    for field in TRAFFIC:
        _check_size(table, (field,))
    for fields in _WORK:
        _check_size(table, fields)
    for field in PLANE_STATISTICS:
        _check_shares(table, field)


def _check_size(table: pa.Table, fields: tuple[str, ...]) -> None:
    product = np.prod([np.maximum(table.column(field).to_numpy(), 1).astype(np.float64) for field in fields], axis=0)
    wrong = np.flatnonzero(product > _MOST)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"{_at(table, row)}: {' × '.join(fields)} is {product[row]:.3g}, it must be at most {_MOST:.3g} (2^53)"
        )


def _check_shares(table: pa.Table, field: str) -> None:
    column = table.column(field).combine_chunks()
    if column.null_count == len(column):
        return
    planes, bits = pc.list_value_length(column), table.column("activation_bits")
    wrong = _first(pc.not_equal(planes, bits))
    if wrong is not None:
        raise ValueError(
            f"{_at(table, wrong)}: {field} has {planes[wrong].as_py()} planes, it must have one per activation bit "
            f"({bits[wrong].as_py()})"
        )
    shares = pc.list_flatten(column).to_numpy(zero_copy_only=False)  # a gap becomes NaN, which fails the comparison
    outside = ~((shares >= 0) & (shares <= 1))
    if outside.any():
        row = pc.list_parent_indices(column)[int(np.argmax(outside))].as_py()
        raise ValueError(f"{_at(table, row)}: {field} is {column[row].as_py()}, each share must lie between 0 and 1")


def _first(mask: pa.Array | pa.ChunkedArray) -> int | None:
    """Index of the first true element; a null counts as false."""
    index = pc.index(mask, True).as_py()
    return None if index < 0 else int(index)


def _at(table: pa.Table, row: int) -> str:
    return f"row {row} ({table.column('name')[row].as_py()})"
