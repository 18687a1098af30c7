"""``timeline``: what array, vector unit, scan unit and DMA do when, and what they wait for, as a Chrome trace.

Time model: the schedule of ``energy_models/schedule.py``. An operation goes through the vector unit (scaling and
quantizing), the array and the scan unit, those that it uses, one after the other. Its waits for the DMA, which come
tile by tile, are drawn as one in front of them, on the track of the unit that uses what is streamed. So the events of
the three units, waits included, follow each other without a gap and add up to the latency. A DMA event lasts from the
first byte to the last; where compute takes longer than the stream it is paced, and ``transfer_cycles`` is what it needs
alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..designs.design import Design, GpuDesign
from ..energy_models.cost import cost
from ..energy_models.cycles import array_cycles, scan_cycles, vector_cycles
from ..energy_models.ops import Ops
from ..energy_models.schedule import schedule
from ..traces.trace import Trace

UNITS = ("vector", "array", "scan")
"""In the order in which an operation goes through them."""
TRACKS = ("array", "vector", "scan", "DMA")
_STREAMED = ("weights", "state", "activations")


@dataclass(frozen=True)
class Event:
    """On one of ``TRACKS``: ``start`` and ``duration`` in cycles, whole ones on all but the DMA. ``wait``: for the DMA.

    ``args``: what a viewer shows: kind, layer and step, cycles, bytes, what is streamed.
    """

    track: str
    name: str
    start: float
    duration: float
    wait: bool
    args: Mapping[str, object]


def timeline(trace: Trace, design: Design) -> tuple[Event, ...]:
    """The events of ``trace`` on ``design``, operation by operation.

    Raises ``ValueError`` for a GPU, which is a roofline without units, and as ``cost`` does.
    """
    if isinstance(design, GpuDesign):
        raise ValueError(f"{design.name} is of kind gpu, a roofline without units: a timeline needs an array design")
    frame = cost(trace, [design])
    own = Ops.from_frame(trace.ops).in_formats_of(design)
    busy = {"vector": vector_cycles(own, design), "array": array_cycles(own, design), "scan": scan_cycles(own, design)}
    rate = design.clock_hz / (design.dram.bandwidth_gb_per_s * 1e9) if design.dram else 0.0
    moved = frame["dram_bytes"].to_numpy(np.int64)
    plan = schedule(own.step, frame["compute_cycles"].to_numpy(np.int64), moved, rate)
    streamed = np.argmax([frame[f"dram_{part}_bytes"] for part in ("weight", "state", "activation")], axis=0)
    events: list[Event] = []
    for i, (step, layer, name, kind) in enumerate(
        zip(*(frame[c] for c in ("step", "layer", "name", "kind")), strict=True)
    ):
        about = {"kind": str(kind), "layer": int(layer), "step": int(step)}
        what, now = _STREAMED[streamed[i]], int(plan.ends[i] - plan.cycles[i])
        if moved[i]:
            args = about | {"bytes": int(moved[i]), "streams": what, "transfer_cycles": float(moved[i] * rate)}
            start, end = float(plan.stream_starts[i]), float(plan.stream_ends[i])
            events.append(Event("DMA", f"{name}: {what}", start, end - start, False, args))
        if plan.waits[i]:
            unit = next((unit for unit in ("array", "scan") if busy[unit][i]), "vector")
            args = about | {"cycles": int(plan.waits[i]), "waits for": f"DMA: {what} of {name}"}
            events.append(Event(unit, f"{unit} waits for DMA: {what}", now, int(plan.waits[i]), True, args))
            now += int(plan.waits[i])
        for unit in UNITS:
            cycles = int(busy[unit][i])
            if cycles:
                events.append(Event(unit, str(name), now, cycles, False, about | {"cycles": cycles}))
                now += cycles
    return tuple(events)


def chrome_trace(events: Iterable[Event], trace: Trace, design: Design) -> str:
    """The events in the Trace Event Format that Perfetto and chrome://tracing open; times in µs.

    A track is a thread (``M`` events name and order them), an event a complete one (``X``) of category ``busy`` or
    ``wait``. Source: Trace Event Format, Google, 2016.
    """
    meta = trace.metadata
    process = f"{meta.model} on {design.name}: {meta.phase}, batch {meta.batch}, {meta.prompt_length:,} tokens"
    lines: list[dict[str, object]] = [{"ph": "M", "pid": 1, "name": "process_name", "args": {"name": process}}]
    for number, track in enumerate(TRACKS, 1):
        thread = {"ph": "M", "pid": 1, "tid": number}
        lines.append(thread | {"name": "thread_name", "args": {"name": track}})
        lines.append(thread | {"name": "thread_sort_index", "args": {"sort_index": number}})
    for event in events:
        shown: dict[str, object] = {"ph": "X", "pid": 1, "tid": TRACKS.index(event.track) + 1, "name": event.name}
        shown |= {"cat": "wait" if event.wait else "busy", "ts": event.start / design.clock_mhz}
        shown |= {"dur": event.duration / design.clock_mhz, "args": dict(event.args)}
        if event.wait:
            shown["cname"] = "terrible"  # the viewers' red
        lines.append(shown)
    body = ",\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    return f'{{"displayTimeUnit": "ns", "traceEvents": [\n{body}\n]}}\n'


def write_timeline(text: str, path: Path) -> None:
    """Write ``text`` to ``path``; the file appears whole or not at all. Raises ``OSError``."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, "utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def occupation(events: Iterable[Event], clock_hz: float) -> list[dict[str, object]]:
    """One row per track: operations, seconds in which it works and in which it waits for the DMA; the DMA by the
    cycles that its bytes take."""
    rows: list[dict[str, object]] = []
    every = list(events)
    for track in TRACKS:
        mine = [event for event in every if event.track == track]
        busy = sum(float(str(e.args.get("transfer_cycles", e.duration))) for e in mine if not e.wait)
        rows.append(
            {
                "unit": track,
                "operations": sum(not event.wait for event in mine),
                "busy_s": busy / clock_hz,
                "waiting_s": sum(event.duration for event in mine if event.wait) / clock_hz,
            }
        )
    latency = max(event.start + event.duration for event in every) / clock_hz
    return [row | {"busy_share": float(str(row["busy_s"])) / latency} for row in rows]
