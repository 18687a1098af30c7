"""Hypothesis strategies for operations, metadata and traces; any value the contract allows may appear."""

from __future__ import annotations

from hypothesis import strategies as st

from xnorscan.traces.op import KINDS, LEAST, TRAFFIC, Op
from xnorscan.traces.trace import PHASES, Metadata, Trace

LARGEST = 2**63 - 1
EXACT = 2**53
"""The largest count of bytes, and of the products of up to four sizes."""
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


def _shares(planes: int) -> st.SearchStrategy[tuple[float, ...] | None]:
    share = st.floats(0, 1, width=32)
    return st.none() | st.lists(share, min_size=planes, max_size=planes).map(tuple)


@st.composite
def ops(draw: st.DrawFn) -> Op:
    largest = {"step": LARGEST, "layer": LARGEST} | dict.fromkeys(TRAFFIC, EXACT)
    values = {name: draw(st.integers(least, largest.get(name, 2**13))) for name, least in LEAST.items()}
    values["activation_bits"] = planes = draw(st.integers(0, 20))
    counts = st.none() | st.integers(0, LARGEST)
    return Op(
        name=draw(NAMES), kind=draw(st.sampled_from(KINDS)), **values,
        density=draw(_shares(planes)), toggle=draw(_shares(planes)), saturations=draw(counts), max_abs=draw(counts),
    )  # fmt: skip


METADATA = st.builds(
    Metadata,
    model=NAMES,
    phase=st.sampled_from(PHASES),
    batch=st.integers(1, 10**6),
    prompt_length=st.integers(0, 10**6),
    new_tokens=st.integers(0, 10**6),
    precision=st.dictionaries(NAMES, st.integers(0, 64) | NAMES, max_size=3),
    recorded=st.booleans(),
    versions=st.dictionaries(NAMES, NAMES, max_size=3),
)
TRACES = st.builds(Trace.from_ops, st.lists(ops(), max_size=6), METADATA)
