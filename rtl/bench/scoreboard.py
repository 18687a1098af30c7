"""What came out of the array against what must: every raw count, then the sums that a host makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def unpack(beats: Sequence[int], fields: int, bits: int) -> np.ndarray:
    """The lowest ``fields`` numbers of ``bits`` bits in each beat, int64 [beats, fields]."""
    size = -(-fields * bits // 8)
    mask = (1 << fields * bits) - 1
    packed = b"".join((beat & mask).to_bytes(size, "little") for beat in beats)
    spread = np.unpackbits(np.frombuffer(packed, np.uint8).reshape(-1, size), axis=1, bitorder="little")
    return spread[:, : fields * bits].reshape(-1, fields, bits) @ (1 << np.arange(bits, dtype=np.int64))


def check_rows(expected: Sequence[int], came: Sequence[int], cols: int, acc_bits: int) -> None:
    """Compare beats of rows, marks included. Raises ``AssertionError`` with the first number that is wrong."""
    wrong = [place for place, pair in enumerate(zip(expected, came, strict=True)) if pair[0] != pair[1]]
    if not wrong:
        return
    place = wrong[0]
    raw = unpack([expected[place], came[place]], cols, acc_bits)
    columns = np.flatnonzero(raw[0] != raw[1])
    fault = f"raw of column {columns[0]} is {raw[1, columns[0]]}, not {raw[0, columns[0]]}" if columns.size else "last"
    raise AssertionError(f"row {place} of {len(expected)}: {fault}; {len(wrong)} rows are wrong")


def check_sums(product: dict[str, Any], raw: np.ndarray, rows: int, cols: int) -> None:
    """offset[o] − Σ_p coefficient_p · raw_p[t, o] against the product's ``acc`` [tokens, outputs].

    ``raw`` int64 [rows of the product as they came, cols]: by token tile of ``rows``, output tile, plane.
    Raises ``AssertionError`` with the first sum that is wrong.
    """
    acc, planes = product["acc"], len(product["coefficients"])
    tokens, outputs = acc.shape
    tiles = -(-outputs // cols)
    sums = np.empty((tokens, tiles * cols), np.int64)
    start = 0
    for first in range(0, tokens, rows):
        height = min(rows, tokens - first)
        stop = start + tiles * planes * height
        of_plane = raw[start:stop].reshape(tiles, planes, height, cols)
        weighted = np.einsum("p,tphc->htc", product["coefficients"], of_plane)
        sums[first : first + height] = weighted.reshape(height, -1)
        start = stop
    found = product["offset"] - sums[:, :outputs]
    wrong = np.argwhere(found != acc)
    if wrong.size:
        token, output = wrong[0]
        value, right = found[token, output], acc[token, output]
        raise AssertionError(f"token {token}, output {output}: the sum is {value}, not {right}; {len(wrong)} are wrong")
