"""``Trace``: building one from rows or a frame, what it refuses, its summary and its collapsed rows."""

from __future__ import annotations

import time
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.random_traces import METADATA, ops
from xnorscan.traces.op import Op
from xnorscan.traces.trace import SCHEMA_VERSION, Metadata, Trace

META = Metadata(model="toy", phase="run", prompt_length=2, new_tokens=1)
NORM = Op(step=0, layer=0, name="norm", kind="rmsnorm", sequences=1, tokens=2, outputs=8, inputs=8, weight_bytes=16)
LINEAR = Op(
    step=0, layer=0, name="in_proj", kind="linear", sequences=1, tokens=2, outputs=4, inputs=8, weight_planes=1,
    activation_bits=2, weight_bytes=36, input_bytes=4, output_bytes=18,
    density=(0.1, 0.5), toggle=(0.25, 1.0), saturations=3, max_abs=100,
)  # fmt: skip
SCAN = Op(
    step=0, layer=0, name="scan", kind="scan", sequences=1, tokens=2, outputs=8, inputs=8, heads=2, headdim=4,
    d_state=3, state_bits=16, state_read_bytes=48, state_write_bytes=48,
)  # fmt: skip
ROWS = [
    NORM, LINEAR, SCAN, replace(NORM, layer=1),
    replace(LINEAR, layer=1, saturations=None, max_abs=120, density=None), replace(SCAN, layer=1),
    replace(NORM, step=1, tokens=1), replace(LINEAR, step=1, tokens=1, saturations=4), replace(SCAN, step=1, tokens=1),
]  # fmt: skip


def trace() -> Trace:
    return Trace.from_ops(ROWS, META)


def test_columns_are_the_fields_of_op_in_order_with_stated_types() -> None:
    frame = trace().ops
    assert list(frame.columns) == [field.name for field in fields(Op)]
    assert pd.api.types.is_string_dtype(frame["name"])
    assert pd.api.types.is_string_dtype(frame["kind"])
    assert str(frame["saturations"].dtype) == str(frame["max_abs"].dtype) == "Int64"
    assert frame["density"].dtype == frame["toggle"].dtype == object
    rest = frame.drop(columns=["name", "kind", "saturations", "max_abs", "density", "toggle"])
    assert set(map(str, rest.dtypes)) == {"int64"}


def test_shares_are_float32_tuples_or_none() -> None:
    density = trace().ops["density"]
    assert density[0] is None
    assert density[4] is None
    assert density[1] == (float(np.float32(0.1)), 0.5)


@given(st.lists(ops(), max_size=5), METADATA)
@settings(max_examples=40, deadline=None)
def test_every_row_comes_back(rows: list[Op], metadata: Metadata) -> None:
    made = Trace.from_ops(rows, metadata)
    records = made.ops.to_dict("records")
    back = [{name: None if value is pd.NA else value for name, value in row.items()} for row in records]
    assert back == [asdict(row) for row in rows]
    assert made.metadata == metadata


def test_a_frame_in_any_column_order_index_and_integer_width_makes_the_same_trace() -> None:
    frame = trace().to_frame().set_index(pd.Index(range(100, 109)))
    frame = frame[list(reversed(frame.columns))].astype({"tokens": np.uint8, "layer": np.int16, "name": "category"})
    frame["saturations"] = [None if value is pd.NA else float(value) for value in frame["saturations"]]
    frame["toggle"] = [None if value is None else np.array(value) for value in frame["toggle"]]
    pd.testing.assert_frame_equal(Trace.from_frame(frame, META).ops, trace().ops)


def test_to_frame_is_a_copy_and_the_source_frame_is_not_shared() -> None:
    made = trace()
    copy = made.to_frame()
    again = Trace.from_frame(copy, META)
    copy.loc[:, "tokens"] = 77
    assert made.ops["tokens"].tolist() == again.ops["tokens"].tolist() == [2] * 6 + [1] * 3


def test_a_trace_without_operations_keeps_its_types() -> None:
    empty = Trace.from_ops([], META)
    assert len(empty.ops) == 0
    assert (empty.ops.dtypes == trace().ops.dtypes).all()
    assert len(empty.summary()) == 0
    assert len(empty.collapse()) == 0


def with_column(column: str, values: Any) -> pd.DataFrame:
    frame = trace().to_frame()
    frame[column] = pd.Series([values] * len(frame), dtype=object) if not isinstance(values, list) else values
    return frame


def changed(row: int, column: str, value: Any) -> pd.DataFrame:
    frame = trace().to_frame().astype(object)
    frame.at[row, column] = value
    return frame.astype({"name": str, "kind": str}) if column not in ("name", "kind") else frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (trace().to_frame().drop(columns="tokens"), "column tokens is missing; a trace has the columns step, layer"),
        (trace().to_frame().assign(extra=1), "column extra is unexpected; a trace has the columns step, layer, name"),
        (pd.concat([trace().ops, trace().ops[["step"]]], axis=1), "column step appears more than once"),
        (changed(4, "weight_bytes", -5), r"row 4 \(in_proj\): weight_bytes is -5, it must be at least 0"),
        (changed(1, "tokens", 0), r"row 1 \(in_proj\): tokens is 0, it must be at least 1"),
        (changed(2, "layer", -2), r"row 2 \(scan\): layer is -2, it must be at least -1"),
        (changed(1, "saturations", -1), r"row 1 \(in_proj\): saturations is -1, it must be at least 0"),
        (
            changed(2, "inputs", 2**60),
            r"row 2 \(scan\): tokens × outputs × inputs is \S+, it must be at most 9.01e\+15",
        ),
        (changed(4, "weight_bytes", 2**54), r"row 4 \(in_proj\): weight_bytes is 1.8e\+16, it must be at most 9.01e"),
        (changed(2, "kind", "matmul"), r"row 2 \(scan\): kind is 'matmul', it must be one of embedding, rmsnorm"),
        (changed(2, "name", ""), "row 2: name is empty, an operation must have one"),
        (changed(2, "name", None), "row 2: name has no value, it must have one"),
        (changed(3, "outputs", None), "row 3: outputs has no value, it must have one"),
        (with_column("tokens", 1.5), "column tokens holds object, it must hold integers"),
        (with_column("tokens", [1.0] * 9), "column tokens holds float64, it must hold integers"),
        (with_column("tokens", ["1"] * 9), "column tokens holds (str|object), it must hold integers"),
        (with_column("tokens", [True] * 9), "column tokens holds bool, it must hold integers"),
        (with_column("input_bytes", 2**63), "column input_bytes holds .*, it must hold integers"),
        (with_column("max_abs", [1.5] * 9), "column max_abs holds float64, it must hold integers"),
        (with_column("kind", [3] * 9), "column kind holds int64, it must hold text"),
        (with_column("density", [0.5] * 9), "column density holds float64, it must hold lists of numbers"),
        (with_column("density", ["ab"] * 9), "column density holds (str|object), it must hold lists of numbers"),
        (with_column("density", (0.5,)), r"row 0 \(norm\): density has 1 planes, .* one per activation bit \(0\)"),
        (changed(7, "toggle", (0.5,)), r"row 7 \(in_proj\): toggle has 1 planes, .* one per activation bit \(2\)"),
        (changed(7, "toggle", (0.5, 2.0)), r"row 7 \(in_proj\): toggle is \[0.5, 2.0\], each share must lie"),
        (changed(1, "density", (0.5, -0.5)), r"row 1 \(in_proj\): density is \[0.5, -0.5\], each share"),
        (changed(1, "density", (0.5, None)), r"row 1 \(in_proj\): density is \[0.5, None\], each share"),
        (changed(1, "density", (0.5, np.nan)), r"row 1 \(in_proj\): density is \[0.5, (nan|None)\], each share"),
    ],
)
def test_a_wrong_frame_is_refused_in_one_line(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as refusal:
        Trace.from_frame(frame, META)
    assert "\n" not in str(refusal.value)


def test_a_fraction_in_an_op_is_refused_by_the_trace() -> None:
    with pytest.raises(ValueError, match=r"^column tokens holds object, it must hold integers$"):
        Trace.from_ops([replace(NORM, tokens=1.5)], META)  # type: ignore[arg-type]  # what a careless caller does


def test_summary_sums_by_kind_and_name() -> None:
    summary = trace().summary().set_index("name")
    assert summary.index.tolist() == ["norm", "in_proj", "scan"]
    assert summary["kind"].tolist() == ["rmsnorm", "linear", "scan"]
    assert summary["ops"].tolist() == [3, 3, 3]
    assert summary["tokens"].tolist() == [5, 5, 5]
    assert summary["macs"].tolist() == [0, 5 * 4 * 8, 0]
    assert summary["weight_bytes"].tolist() == [48, 108, 0]
    assert summary.loc["in_proj", ["input_bytes", "output_bytes"]].tolist() == [12, 54]
    assert summary.loc["scan", ["state_read_bytes", "state_write_bytes"]].tolist() == [144, 144]
    assert summary.loc["in_proj", ["saturations", "max_abs"]].tolist() == [7, 120]
    assert summary.loc[["norm", "scan"], ["saturations", "max_abs"]].isna().all(axis=None)


def test_collapse_counts_equal_rows_in_order_of_first_appearance() -> None:
    collapsed = trace().collapse()
    assert collapsed["name"].tolist() == ["norm", "in_proj", "scan"] * 2
    assert collapsed["count"].tolist() == [2, 2, 2, 1, 1, 1]
    assert collapsed["tokens"].tolist() == [2, 2, 2, 1, 1, 1]
    absent = {"step", "layer", "density", "toggle", "saturations", "max_abs"}
    assert set(trace().ops.columns) - set(collapsed.columns) == absent


@given(st.lists(ops(), min_size=1, max_size=5), st.lists(st.integers(0, 4), max_size=10))
@settings(max_examples=25, deadline=None)
def test_collapse_keeps_every_row(rows: list[Op], picks: list[int]) -> None:
    made = Trace.from_ops([rows[pick % len(rows)] for pick in picks], META)
    assert made.collapse()["count"].sum() == len(picks)


def test_a_hundred_thousand_rows_are_checked_quickly() -> None:
    frame = pd.concat([trace().ops] * 11112, ignore_index=True)
    start = time.perf_counter()
    Trace.from_frame(frame, META).collapse()
    assert time.perf_counter() - start < 5  # about 0.4 s on one slow core; row by row it would be far over


def test_metadata_survives_json() -> None:
    metadata = Metadata(
        model="tiny", phase="decode", batch=3, prompt_length=5, new_tokens=1, recorded=True,
        precision={"state_bits": 16, "head": "int8"}, versions={"xnorscan": "0.1.0"},
    )  # fmt: skip
    assert Metadata.from_json(metadata.to_json()) == metadata
    assert metadata.schema_version == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": ""}, "metadata: model is empty, it must be the model's name"),
        ({"model": 3}, "metadata: model is 3, it must be of type str"),
        ({"phase": "train"}, "metadata: phase is 'train', it must be one of prefill, decode, run"),
        ({"batch": 0}, "metadata: batch is 0, it must be an integer of at least 1"),
        ({"batch": True}, "metadata: batch is True, it must be an integer of at least 1"),
        ({"prompt_length": -1}, "metadata: prompt_length is -1, it must be an integer of at least 0"),
        ({"new_tokens": 1.5}, "metadata: new_tokens is 1.5, it must be an integer of at least 0"),
        ({"recorded": 1}, "metadata: recorded is 1, it must be of type bool"),
        ({"precision": None}, "metadata: precision is None, it must be of type Mapping"),
        ({"schema_version": 9}, "metadata: schema version is 9, this xnorscan reads version 1; make the trace .*"),
    ],
)
def test_wrong_metadata_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Metadata(**asdict(META) | change)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "metadata: not JSON, it must be one JSON object"),
        (b"\xff", "metadata: not JSON, it must be one JSON object"),
        ("[1]", "metadata: JSON list, it must be one JSON object"),
        ('{"schema_version": 2, "strange": 1}', "metadata: schema version is 2, this xnorscan reads version 1; .*"),
        ('{"schema_version": 1}', "metadata: field model is missing; it has model, phase, .*"),
        (META.to_json()[:-1] + ', "colour": 1}', "metadata: field colour is unexpected; it has model, phase, .*"),
    ],
)
def test_wrong_json_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Metadata.from_json(text)
