"""reports/timeline.py: its events are the cost frame's cycles, and its file is what the trace viewers read."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from oracles.cost_workloads import model_trace
from xnorscan.designs.design import load_design
from xnorscan.energy_models.cost import cost
from xnorscan.reports.timeline import TRACKS, Event, chrome_trace, occupation, timeline, write_timeline

CASES = [
    (model, phase, design)
    for model, design in (("bi-mamba-780m", "edge-28nm"), ("fbi-llm-130m", "edge-28nm/fp16"), ("tiny", "up5k"))
    for phase in ("decode", "prefill")
]


@pytest.mark.parametrize(("model", "phase", "design"), CASES)
def test_events_follow_each_other_and_sum_to_the_cost(model: str, phase: str, design: str) -> None:
    trace, loaded = model_trace(model, phase, 16), load_design(design)
    frame, events = cost(trace, [loaded]), timeline(trace, loaded)
    units = [event for event in events if event.track != "DMA"]
    assert sum(event.duration for event in units) == frame["cycles"].sum()
    assert sum(event.duration for event in units if event.wait) == (frame["cycles"] - frame["compute_cycles"]).sum()
    assert units[0].start == 0
    assert all(one.start + one.duration == other.start for one, other in pairwise(units))
    assert all(event.args["cycles"] == event.duration for event in units)
    streams = [event for event in events if event.track == "DMA"]
    assert sum(int(str(event.args["bytes"])) for event in streams) == frame["dram_bytes"].sum()
    assert all(one.start + one.duration <= other.start + 1e-3 for one, other in pairwise(streams))
    assert bool(streams) == (loaded.dram is not None)


def test_waits_name_who_waits_for_what() -> None:
    events = timeline(model_trace("bi-mamba-780m"), load_design("edge-28nm"))
    waits = {event.name: event for event in events if event.wait}
    assert {"array waits for DMA: weights", "scan waits for DMA: state"} <= waits.keys()
    assert waits["array waits for DMA: weights"].track == "array"
    assert str(waits["scan waits for DMA: state"].args["waits for"]) == "DMA: state of scan"


def test_the_file_is_a_chrome_trace(tmp_path) -> None:
    trace, design = model_trace("bi-mamba-780m"), load_design("edge-28nm")
    events = timeline(trace, design)
    write_timeline(chrome_trace(events, trace, design), tmp_path / "t.json")
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]
    shown = json.loads((tmp_path / "t.json").read_text("utf-8"))["traceEvents"]
    names = [each["args"]["name"] for each in shown if each["name"] == "thread_name"]
    assert tuple(names) == TRACKS
    assert {each["ph"] for each in shown} == {"M", "X"}
    complete = [each for each in shown if each["ph"] == "X"]
    assert len(complete) == len(events)
    for each, event in zip(complete, events, strict=True):
        assert TRACKS[each["tid"] - 1] == event.track
        assert each["ts"] * 500 == pytest.approx(event.start)
        assert each["dur"] * 500 == pytest.approx(event.duration)
        assert (each["cat"] == "wait") == event.wait


def test_occupation_by_hand() -> None:
    events = [
        Event("array", "array waits for DMA: weights", 0, 6, True, {}),
        Event("array", "in_proj", 6, 4, False, {}),
        Event("DMA", "in_proj: weights", 0.0, 9.0, False, {"transfer_cycles": 5.0}),
    ]
    rows = {row["unit"]: row for row in occupation(events, 10.0)}
    assert rows["array"] == {
        "unit": "array", "operations": 1, "busy_s": 0.4, "waiting_s": 0.6, "busy_share": 0.4,
    }  # fmt: skip
    assert rows["DMA"]["busy_share"] == 0.5
    assert rows["scan"]["operations"] == 0


def test_a_gpu_has_no_units() -> None:
    with pytest.raises(
        ValueError, match="gpu-h100 is of kind gpu, a roofline without units: a timeline needs an array"
    ):
        timeline(model_trace("tiny"), load_design("gpu-h100"))
