"""energy_models/ops.py: the FP16 twin of a trace, byte by byte, and what statistics become."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oracles.cost_workloads import array, linear, model_trace, ops_of, trace_of
from xnorscan.designs.design import load_design
from xnorscan.energy_models.ops import Ops
from xnorscan.models.operations import shape_trace
from xnorscan.models.precision import Precision
from xnorscan.models.published import get_config
from xnorscan.traces.op import Op


def test_fp16_bytes_of_bi_mamba_2_7b() -> None:
    """By hand: 2·parameters of the linears and the head; norms, convolution and scan 16 bit as they are."""
    ops = Ops.from_frame(model_trace("bi-mamba-2.7b").ops).as_fp16()
    linears = ops.is_kind("linear") & ~ops.is_head
    assert ops.weight_bytes[linears].sum() == 2 * 2_571_632_640
    assert ops.weight_bytes[ops.is_head].sum() == 2 * 32000 * 2560
    assert ops.weight_bytes[~ops.is_kind("linear")].sum() == 327_680 + 5_120 + 3_440_640 + 30_720 + 655_360
    assert ops.state_read_bytes[ops.is_kind("scan")].sum() == 64 * 5120 * 128 * 2
    assert ops.state_write_bytes[ops.is_kind("conv1d")].sum() == 64 * 5376 * 3 * 2
    first = {kind: int(np.argmax(ops.is_kind(kind))) for kind in ("scan", "gated_rmsnorm", "embedding")}
    assert ops.input_bytes[first["scan"]] == 2 * (5120 + 2 * 128 + 80)
    assert ops.input_bytes[first["gated_rmsnorm"]] == 2 * 2 * 5120
    assert ops.input_bytes[first["embedding"]] == ops.output_bytes[first["embedding"]] == 2 * 2560
    assert ops.output_bytes[linears][0] == 2 * 10576


def test_fp16_does_not_depend_on_the_planes() -> None:
    one, eight = (ops_of(linear(planes=planes)).as_fp16() for planes in (1, 8))
    for field in dataclasses.fields(Ops):
        assert (getattr(one, field.name) == getattr(eight, field.name)).all()


def test_kv_cache_is_fp16_already() -> None:
    ops = Ops.from_frame(model_trace("fbi-llm-130m", "decode", 100).ops)
    attention = ops.is_kind("attention")
    assert (ops.as_fp16().state_read_bytes[attention] == ops.state_read_bytes[attention]).all()
    assert ops.state_read_bytes[attention][0] == 101 * 2 * 768 * 2


def test_scores_are_causal() -> None:
    """A prefill of 4 tokens on 3 in the context: 4 + 5 + 6 + 7 pairs per head and sequence."""
    row = Op(
        step=0, layer=0, name="attention", kind="attention", sequences=2, tokens=8, outputs=6, inputs=6, heads=3,
        headdim=2, context=7, activation_bits=18,
    )  # fmt: skip
    ops = ops_of(row)
    assert ops.scores[0] == 2 * 3 * (4 + 5 + 6 + 7)
    assert ops.macs[0] == 2 * ops.scores[0] * 2


def test_toggle_is_the_mean_over_planes_and_half_without_statistics() -> None:
    shares = (0.1, 0.3, 0.5, 0.1, 0.1, 0.1, 0.1, 0.3)
    ops = ops_of(linear(toggle=shares, density=shares), linear())
    assert ops.toggle == pytest.approx([0.2, 0.5])


def test_unknown_kind_is_named() -> None:
    frame = trace_of(linear()).to_frame().assign(kind="fft")
    with pytest.raises(ValueError, match="kind 'fft'; costs are known for embedding"):
        Ops.from_frame(frame)


def test_state_has_the_width_that_the_design_gives_it() -> None:
    """Bi-Mamba-2.7B: 64 layers of 5120 · 128 values and 5376 · 3 samples; FBI-LLM-130M: 12 · 101 · 2 · 768."""
    mamba = Ops.from_frame(model_trace("bi-mamba-2.7b", "decode", 10, 3).ops)
    for bits in (8, 16, 32):
        ops = mamba.in_formats_of(array(state={"scan": {"bits": bits}, "conv1d": {"bits": bits}}))
        for kind, values in (("scan", 5120 * 128), ("conv1d", 5376 * 3)):
            for moved in (ops.state_read_bytes, ops.state_write_bytes):
                assert moved[ops.is_kind(kind)].sum() == 64 * 3 * values * bits // 8
            assert set(ops.state_bits[ops.is_kind(kind)]) == {bits}
    cache = Ops.from_frame(model_trace("fbi-llm-130m", "decode", 100, 3).ops).with_state_bits({"attention": 8})
    assert cache.state_read_bytes.sum() == 12 * 3 * 101 * 2 * 768
    assert cache.state_write_bytes.sum() == 12 * 3 * 2 * 768


def test_widths_that_are_not_given_are_those_of_the_trace() -> None:
    for name in ("bi-mamba-780m", "fbi-llm-130m", "mamba-130m"):
        ops = Ops.from_frame(model_trace(name).ops)
        own = ops.in_formats_of(array())
        same = ops.in_formats_of(array(state={"scan": {"bits": 16}, "attention": {"bits": 16}}, head={"bits": 8}))
        for field in dataclasses.fields(Ops):
            for other in (own, same):
                assert (getattr(other, field.name) == getattr(ops, field.name)).all(), field.name


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_head_and_table_have_the_width_that_the_design_gives_them(bits: int) -> None:
    ops = Ops.from_frame(model_trace("bi-mamba-2.7b", batch=5).ops).in_formats_of(array(head={"bits": bits}))
    embedding = ops.is_kind("embedding")
    assert ops.weight_bytes[ops.is_head].sum() == 32000 * 2560 * bits // 8 + 32000 * 2
    assert ops.input_bytes[embedding].sum() == 5 * (2560 * bits // 8 + 2)
    assert set(ops.weight_planes[ops.is_head | embedding]) == {bits}
    assert set(ops.weight_planes[ops.is_binary]) == {1}
    assert ops.is_binary.sum() == 128, "a head of one plane is not among them"


def test_others_are_fp16_whatever_the_trace_has() -> None:
    trace = shape_trace(
        get_config("bi-mamba-780m"), phase="decode", length=1, precision=Precision(state_bits=32, head="binary")
    )
    for name in ("edge-28nm/fp16", "gpu-h100"):
        ops = Ops.from_frame(trace.ops).in_formats_of(load_design(name))
        assert ops.state_read_bytes[ops.is_kind("scan")].sum() == 48 * 3072 * 128 * 2
        assert ops.weight_bytes[ops.is_head].sum() == 32000 * 1536 * 2
