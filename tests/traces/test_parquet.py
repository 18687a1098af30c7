"""The Parquet file of a trace: an exact round trip, and one clear line for every way a file can be wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from oracles.random_traces import TRACES
from xnorscan.traces.op import Op
from xnorscan.traces.parquet import METADATA_KEY, read_trace, write_trace
from xnorscan.traces.trace import Metadata, Trace

META = Metadata(model="toy", phase="decode", new_tokens=1, precision={"state_bits": 16}, versions={"xnorscan": "0.1.0"})
TOY = Trace.from_ops(
    [
        Op(step=0, layer=-1, name="embedding", kind="embedding", sequences=1, tokens=1, outputs=8, inputs=256),
        Op(
            step=0, layer=0, name="in_proj", kind="linear", sequences=1, tokens=1, outputs=4, inputs=8,
            activation_bits=2, density=(0.1, 0.5), toggle=(0.0, 1.0), saturations=0, max_abs=127,
        ),
    ],
    META,
)  # fmt: skip


@given(TRACES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_round_trip_is_exact(tmp_path: Path, trace: Trace) -> None:
    path = tmp_path / "trace.parquet"
    write_trace(trace, path)
    back = read_trace(path)
    pd.testing.assert_frame_equal(back.ops, trace.ops, check_exact=True)
    assert back.metadata == trace.metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "toy.parquet"
    write_trace(TOY, target)
    return target


def test_other_readers_see_the_table_and_the_metadata(path: Path) -> None:
    frame = pd.read_parquet(path)
    assert frame["name"].tolist() == ["embedding", "in_proj"]
    schema = pq.read_schema(path)
    assert schema.field("density").type == pa.list_(pa.float32())
    assert schema.field("max_abs").type == pa.int64()
    assert frame["max_abs"].isna().tolist() == [True, False]
    assert json.loads(schema.metadata[METADATA_KEY])["model"] == "toy"


def test_writing_replaces_and_leaves_nothing_else(path: Path) -> None:
    write_trace(Trace.from_ops([], META), path)
    assert len(read_trace(path).ops) == 0
    assert [file.name for file in path.parent.iterdir()] == ["toy.parquet"]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full_disk(table: pa.Table, file: Any, **options: Any) -> None:
        file.write(b"PAR1 half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        write_trace(Trace.from_ops([], META), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["toy.parquet"]


def test_a_missing_directory_or_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        write_trace(TOY, tmp_path / "absent" / "toy.parquet")
    with pytest.raises(FileNotFoundError, match="absent"):
        read_trace(tmp_path / "absent.parquet")


def refused(path: Path) -> str:
    """The message that reading ``path`` ends in, without the path that it must begin with."""
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .+$") as refusal:
        read_trace(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("text", [b"step,layer\n0,1\n", b"x", b"PK\x03\x04"])
def test_what_is_no_parquet_file_is_refused(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    assert refused(path) == "not a Parquet file (it must begin with PAR1)"


def test_an_empty_file_is_refused(path: Path) -> None:
    path.write_bytes(b"")
    assert refused(path) == "empty, it must be a Parquet file of a trace"


def test_a_file_truncated_anywhere_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in {*range(5, len(whole), 101), len(whole) - 1}:
        path.write_bytes(whole[:length])
        assert refused(path) == "truncated, a Parquet file ends in PAR1; copy or make it again"


def test_a_file_that_lost_its_middle_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for kept in (0, 1000, len(whole) // 2):
        path.write_bytes(b"PAR1" + whole[-kept - 4 :])
        assert refused(path).startswith("damaged (")


def test_flipped_bits_never_give_another_trace(path: Path) -> None:
    """A flip is refused, or harmless where the file carries no data."""
    whole = bytearray(path.read_bytes())
    caught = 0
    for at in range(4, len(whole) // 2, 61):  # the pages, which carry checksums
        damaged = whole.copy()
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        try:
            back = read_trace(path)
        except ValueError:
            caught += 1
        else:
            pd.testing.assert_frame_equal(back.ops, TOY.ops)
    assert caught > 5


def rewrite(path: Path, frame: pd.DataFrame | None = None, metadata: bytes | None = None) -> None:
    table = pa.Table.from_pandas(TOY.ops if frame is None else frame, preserve_index=False)
    held = {METADATA_KEY: META.to_json().encode() if metadata is None else metadata}
    pq.write_table(table.replace_schema_metadata(held), path)


def test_another_schema_version_is_refused_before_its_columns_are_judged(path: Path) -> None:
    metadata = json.dumps(json.loads(META.to_json()) | {"schema_version": 2, "novelty": 1}).encode()
    rewrite(path, TOY.ops.assign(novelty=1), metadata)
    assert refused(path).startswith("metadata: schema version is 2, this xnorscan reads version 1")


def test_another_parquet_file_is_refused(path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(path)
    assert refused(path) == "a Parquet file but no trace (no xnorscan metadata)"


def test_metadata_that_is_no_json_is_refused(path: Path) -> None:
    rewrite(path, metadata=b"{")
    assert refused(path) == "metadata: not JSON, it must be one JSON object"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (TOY.ops.drop(columns="outputs"), "column outputs is missing; a trace has the columns step, layer, "),
        (TOY.ops.assign(colour="red"), "column colour is unexpected; a trace has the columns step, layer, "),
        (TOY.ops.assign(output_bytes=[5, -1]), "row 1 (in_proj): output_bytes is -1, it must be at least 0"),
        (TOY.ops.assign(tokens=[1.0, 2.0]), "column tokens holds float64, it must hold integers"),
        (TOY.ops.assign(inputs=pd.array([1, None], dtype="Int64")), "row 1: inputs has no value, it must have one"),
        (TOY.ops.assign(kind="matmul"), "row 0 (embedding): kind is 'matmul', it must be one of embedding, "),
    ],
)
def test_a_wrong_row_or_column_is_named(path: Path, frame: pd.DataFrame, message: str) -> None:
    rewrite(path, frame)
    assert refused(path).startswith(message)
