from __future__ import annotations

import pytest

from xnorscan.energy_models.cpu import Measured
from xnorscan.energy_models.ops import Ops
from xnorscan.models.precision import Precision
from xnorscan.reports import cpu
from xnorscan.reports.subjects import subject


def test_a_model_whose_weights_are_not_here_streams_the_bytes_of_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    streamed: list[int] = []

    def stream(moved: int) -> Measured:
        streamed.append(moved)
        return Measured(1.0, None, "nothing")

    monkeypatch.setattr(cpu, "stream", stream)
    chosen = subject("bi-mamba-780m", precision=Precision())
    found = cpu.measure_cpu(chosen)
    ops = Ops.from_frame(chosen.traces["decode"].ops).as_fp16()
    assert streamed == [int((ops.weight_bytes + ops.state_read_bytes + ops.state_write_bytes).sum())]
    assert streamed[0] == pytest.approx(1.58e9, rel=0.01)
    assert list(found) == ["decode"], "a prefill is bound by arithmetic, which no stream stands for"
    assert found["decode"].how == "FP16 bytes at the rate of a float32 GEMV over 256 MiB"
    assert found["decode"].dram_bytes == streamed[0]


def test_a_shipped_model_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    repeated: list[int] = []

    def measure(run: object, repetitions: int) -> Measured:
        repeated.append(repetitions)
        return Measured(0.5, 3.0, "a meter")

    monkeypatch.setattr(cpu, "measure", measure)
    chosen = subject("tiny", precision=Precision(), text_bytes=2000, prompt_length=64)
    found = cpu.measure_cpu(chosen)
    assert list(found) == ["decode", "prefill"]
    assert repeated == [64, 3]
    assert (found["decode"].measured.seconds, found["decode"].measured.joules) == (0.5, 3.0)
    assert (found["prefill"].measured.seconds, found["prefill"].measured.joules) == (0.5 / 64, 3.0 / 64)
    assert {run.how for run in found.values()} == {"Numba simulator"}
