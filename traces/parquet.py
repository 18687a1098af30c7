"""A trace as a Parquet file: the operations as its table, the metadata as JSON in its schema.

Any Parquet reader opens the file; :func:`read_trace` also checks it. Pages carry checksums, so a flipped bit is found.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .table import checked_table
from .trace import Metadata, Trace

METADATA_KEY = b"xnorscan"
"""Key of the metadata, one JSON object, in the Parquet schema's key-value metadata."""

_MAGIC = b"PAR1"  # first and last four bytes of every Parquet file


def write_trace(trace: Trace, path: str | Path) -> None:
    """Write ``trace`` to ``path``, replacing what is there; the file appears whole or not at all.

    Raises ``OSError`` where it cannot be written.
    """
    path = Path(path)
    table = checked_table(trace.ops).replace_schema_metadata({METADATA_KEY: trace.metadata.to_json().encode()})
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_trace(path: str | Path) -> Trace:
    """The trace that ``write_trace`` wrote to ``path``.

    Raises ``OSError`` where the file cannot be opened and ``ValueError``, one line that starts with the path, where it
    is no Parquet file, truncated, damaged, no trace, of another schema version, or where a row or column is wrong.
    """
    path = Path(path)
    with open(path, "rb") as file:
        _check_magic(file.read(4), path)
        file.seek(max(0, path.stat().st_size - 4))
        if file.read(4) != _MAGIC:
            raise ValueError(f"{path}: truncated, a Parquet file ends in PAR1; copy or make it again")
        file.seek(0)
        try:
            table = pq.read_table(file, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path}: damaged ({str(error).splitlines()[0]}); copy or make it again") from None
    held = (table.schema.metadata or {}).get(METADATA_KEY)
    if held is None:
        raise ValueError(f"{path}: a Parquet file but no trace (no {METADATA_KEY.decode()} metadata)")
    try:
        metadata = Metadata.from_json(held)
        return Trace.from_frame(table.to_pandas(integer_object_nulls=True), metadata)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_magic(head: bytes, path: Path) -> None:
    if not head:
        raise ValueError(f"{path}: empty, it must be a Parquet file of a trace")
    if head != _MAGIC:
        raise ValueError(f"{path}: not a Parquet file (it must begin with PAR1)")
