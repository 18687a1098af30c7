from __future__ import annotations

import pandas as pd
import pytest

from xnorscan.designs.design import load_design
from xnorscan.energy_models.cost import cost
from xnorscan.models.operations import shape_trace
from xnorscan.models.precision import Precision
from xnorscan.models.published import get_config
from xnorscan.reports import measures as m

MB = 1e6


def costs(model: str, design: str, phase: str = "decode") -> tuple[pd.DataFrame, object]:
    trace = shape_trace(get_config(model), phase=phase, length=64)
    return cost(trace, [load_design(design)]), trace


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("design", ["edge-28nm", "edge-28nm/fp16", "datacenter-7nm"])
@pytest.mark.parametrize("model", ["bi-mamba-780m", "mamba-130m", "fbi-llm-130m"])
def test_the_parts_and_the_kinds_add_up_to_the_whole(model: str, design: str, phase: str) -> None:
    frame, trace = costs(model, design, phase)
    whole = frame["energy_pj"].sum() * 1e-6
    assert m.energy_parts(frame)["energy_uj"].sum() == pytest.approx(whole)
    assert m.energy_kinds(frame)["energy_uj"].sum() == pytest.approx(whole)
    assert m.dram_traffic(frame, trace)["bytes"].sum() == pytest.approx(frame["dram_bytes"].sum())
    for measured in (m.energy_parts(frame), m.energy_kinds(frame), m.dram_traffic(frame, trace)):
        assert (measured[measured.columns[-1]] >= 0).all()


@pytest.mark.parametrize(
    ("model", "binary", "head", "state"),
    # Bytes a token from the shapes: in_proj and out_proj at one bit; d_model × 32000 at 8 bit (half of the FP16 table);
    # layers × d_inner × 128 states of 16 bit, read and written.
    [
        ("bi-mamba-780m", 87.7, 98.3 / 2, 75.5),
        ("bi-mamba-1.3b", 154.9, 131.1 / 2, 100.7),
        ("bi-mamba-2.7b", 321.5, 163.8 / 2, 167.8),
    ],
)
def test_what_a_token_moves_is_what_the_shapes_say(model: str, binary: float, head: float, state: float) -> None:
    config = get_config(model)
    frame, trace = costs(model, "edge-28nm")
    moved = m.dram_traffic(frame, trace).set_index("part")["bytes"]
    convolution = 2 * config.layers * config.conv_dim * 3 * 18 / 8
    assert moved[m.BINARY] == pytest.approx(binary * MB, rel=1e-3)
    assert moved["embedding and head"] == pytest.approx(head * MB, rel=3e-3)
    assert moved["state"] == pytest.approx(state * MB + convolution, rel=1e-3)
    assert moved[m.SCALES] == pytest.approx(4 * config.layers * (config.d_model + config.d_inner), rel=1e-6)


def test_dram_energy_is_split_as_its_bytes_are() -> None:
    frame, trace = costs("bi-mamba-2.7b", "edge-28nm")
    energy = m.energy_parts(frame).set_index("part")["energy_uj"]
    moved = m.dram_traffic(frame, trace).set_index("part")["bytes"]
    per_byte = frame["energy_dram_pj"].sum() * 1e-6 / frame["dram_bytes"].sum()
    assert energy[m.STATE] == pytest.approx(per_byte * moved["state"])
    assert energy[m.LINEAR] == pytest.approx(per_byte * (moved[m.BINARY] + moved[m.SCALES]))
    assert energy[m.HEAD] == pytest.approx(per_byte * moved["embedding and head"])


def test_an_fp16_head_in_both_lowers_the_ratio_to_what_the_bytes_say() -> None:
    trace = shape_trace(get_config("bi-mamba-2.7b"), phase="decode", length=64)
    frame = cost(trace, [load_design("edge-28nm"), load_design("edge-28nm/fp16")])
    ratio = m.ratio_with_fp16_head(frame, "edge-28nm", "edge-28nm/fp16")
    whole = frame.groupby("design")["energy_pj"].sum()
    # 5.48 GB against 664 MB: planes 321.5, FP16 head 163.8, state 167.8 + 4.6, scales 2.0, convolution and rest 4.5.
    assert ratio == pytest.approx(5483.5 / 664.1, rel=0.05)
    assert ratio < whole["edge-28nm/fp16"] / whole["edge-28nm"] * 0.9


def test_a_model_on_chip_moves_nothing() -> None:
    frame, trace = costs("tiny", "up5k")
    assert m.dram_traffic(frame, trace)["bytes"].sum() == 0
    assert m.energy_parts(frame).set_index("part")["energy_uj"].filter(like="DRAM").sum() == 0


def test_memory_is_what_the_dimensions_say() -> None:
    config = get_config("bi-mamba-2.7b")
    memory = m.memory_parts(config, Precision()).set_index(["role", "part"])["bytes"]
    linears = 64 * (10576 * 2560 + 2560 * 5120)
    assert memory[m.ONE_BIT, "linear weights"] == linears / 8
    assert memory[m.FP16, "linear weights"] == 2 * linears
    assert memory[m.ONE_BIT, "embedding and head"] == 32000 * 2560
    assert memory[m.FP16, "embedding and head"] == 2 * 32000 * 2560
    assert memory[m.FP16, m.SCALES] == 0
    assert memory[m.FP16, "state"] == 2 * 64 * (5120 * 128 + (5120 + 256) * 3)


@pytest.mark.parametrize(
    ("name", "label", "family"),
    [
        ("bi-mamba-2.7b", "Bi-Mamba 2.7B", "Bi-Mamba"),
        ("bi-mamba-780m-v50288", "Bi-Mamba 780M (v50288)", "Bi-Mamba"),
        ("fbi-llm-7b", "FBI-LLM 7B", "FBI-LLM"),
        ("mamba2-130m", "Mamba-2 130M", "Mamba-2"),
        ("mamba-2.8b", "Mamba 2.8B", "Mamba"),
        ("tiny", "tiny", "tiny"),
    ],
)
def test_names_are_written_as_their_authors_write_them(name: str, label: str, family: str) -> None:
    assert (m.label(name), m.family(name)) == (label, family)
