"""energy_models/gpu.py: at its roofline and as it is used, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from oracles.cost_workloads import linear, model_trace, ops_of, trace_of
from xnorscan.designs.design import GpuDesign, load_design
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.gpu import gpu_bandwidth_share, gpu_compute_cycles, gpu_energy
from xnorscan.energy_models.technology import gpu_figures

GPUS = ("gpu-a100", "gpu-h100", "gpu-h200")


def gpu(name: str) -> GpuDesign:
    design = load_design(name)
    assert isinstance(design, GpuDesign)
    return design


def test_energy_at_the_roofline_is_board_power_times_the_longer_time() -> None:
    design = gpu("gpu-h100")
    energy = gpu_energy(np.array([1830]), np.array([3660]), design)  # 2 µs
    assert energy[0] == pytest.approx(700 * 2e-6 * 1e12 * gpu_figures()["board_energy_factor"].price)


def test_energy_as_used_moves_power_and_utilization_together() -> None:
    design, figures = gpu("gpu-h100/achieved"), gpu_figures()
    share, power = figures["achieved_bandwidth"], figures["achieved_power"]
    joules = 700 * 2e-6  # 3660 cycles at the typical share
    low, typical, high = gpu_energy(np.array([0]), np.array([3660]), design)[0] * 1e-12
    assert typical == pytest.approx(joules * power.value)
    assert low == pytest.approx(joules * share.value / share.high * power.low)
    assert high == pytest.approx(joules * share.value / share.low * power.high)
    share = figures["achieved_arithmetic"]
    low, typical, high = gpu_energy(np.array([3660]), np.array([0]), design)[0] * 1e-12
    assert (low, high) == pytest.approx(
        (joules * share.value / share.high * power.low, joules * share.value / share.low * power.high)
    )


def test_arithmetic_as_used_is_slower_by_its_share() -> None:
    ops = ops_of(linear(tokens=4096, outputs=4096, inputs=4096)).as_fp16()
    peak, used = (int(gpu_compute_cycles(ops, gpu(f"gpu-a100{end}"))[0]) for end in ("", "/achieved"))
    assert used == pytest.approx(peak / gpu_figures()["achieved_arithmetic"].value, rel=1e-4)
    assert gpu_bandwidth_share(gpu("gpu-a100")) == 1


@pytest.mark.parametrize("name", GPUS)
def test_decode_as_used_takes_the_published_share_of_the_bandwidth(name: str) -> None:
    used = f"{name}/achieved"
    frame = cost(model_trace("bi-mamba-2.7b"), [load_design(name), load_design(used)])
    time = frame.groupby("design")["time_s"].sum()
    assert time[name] / time[used] == pytest.approx(gpu_figures()["achieved_bandwidth"].value, rel=1e-3)
    energy = frame[frame["design"] == used][["energy_pj_low", "energy_pj", "energy_pj_high"]].sum()
    assert energy.is_monotonic_increasing
    moved = frame.groupby("design")["dram_bytes"].sum()
    assert moved[name] == moved[used]


def test_a_gpu_needs_no_technology_and_reports_only_a_board() -> None:
    frame = cost(trace_of(linear()), [load_design("gpu-h200/achieved")])
    assert frame["energy_board_pj"].tolist() == frame["energy_pj"].tolist()
    assert (frame["energy_pj"] > 0).all()
