"""Floats become integers: mantissas, rows, norms, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.random_models import random_packed_model, tiny_config
from xnorscan.models.config import ModelConfig
from xnorscan.models.packed import PackedModel
from xnorscan.models.precision import Precision
from xnorscan.sim.formats import RESIDUAL, VECTOR, fixed
from xnorscan.sim.prepare import LOG2E, BinaryLinear, mantissas, prepare, prepare_linear, quantize_rows


@given(st.lists(st.floats(-1e30, 1e30, allow_subnormal=True), min_size=1, max_size=9))
def test_mantissas(values: list[float]) -> None:
    """Within half a unit, the unit as small as 16 bits and the exponent's limit of 40 allow."""
    held = mantissas(np.array(values))
    assert held.values.dtype == np.int16
    assert (np.abs(np.array(values) * 2.0**held.exponent - held.values) <= 0.5).all()
    greatest = int(np.abs(held.values.astype(np.int64)).max())
    assert greatest < 1 << 15
    if any(values):
        assert held.exponent <= 40
        assert greatest >= 1 << 14 or held.exponent == 40


def test_mantissas_of_special_values() -> None:
    for value, mantissa, exponent in ((0.0, 0, 0), (1.0, 16384, 14), (-1.0, -16384, 14), (32767.6, 16384, -1)):
        held = mantissas(np.array([value]))
        assert (held.values.tolist(), held.exponent) == ([mantissa], exponent)
    assert mantissas(np.array([2.0**-30, 1e-42])).values.tolist() == [1024, 0]


def test_rows_are_int8_with_their_own_scale() -> None:
    rng = np.random.default_rng(80)
    weight = rng.normal(0, 1, (6, 30)).astype(np.float32) * np.float32(10.0) ** np.arange(-3, 3)[:, None]
    weight[0] = 0
    rows = quantize_rows(weight)
    assert rows.weight.dtype == np.int8
    assert not rows.weight[0].any()
    assert (np.abs(rows.weight[1:].astype(int)).max(1) == 127).all()
    scale = rows.row_scale.values / 2.0**rows.row_scale.exponent
    assert rows.row_scale.values[0] == 0
    error = np.abs(rows.weight * scale[:, None] - weight).max(1)
    assert (error <= 0.51 * np.abs(weight).max(1) / 127 + 127 * 2.0 ** (-rows.row_scale.exponent - 1)).all()


def test_rows_of_the_smallest_numbers() -> None:
    """A scale that float32 cannot hold does not divide by zero."""
    with np.errstate(all="raise", under="ignore"):
        rows = quantize_rows(np.full((2, 3), 1e-45, np.float32))
    assert rows.row_scale.values.tolist() == [0, 0]


def packed(family: str = "mamba2", **changes: object) -> PackedModel:
    model = random_packed_model(tiny_config(family), 81)
    return replace(model, tensors={**model.tensors, **changes})


def test_constants_of_a_layer() -> None:
    model = packed()
    layer = prepare(model, Precision()).layers[1]
    mixer = "layers.1.mixer"
    rate = layer.scan.rate.values / 2.0**layer.scan.rate.exponent
    assert rate == pytest.approx(np.exp(model.tensors[f"{mixer}.A_log"]) * LOG2E, rel=1e-4)
    assert layer.scan.dt_bias * VECTOR.ulp == pytest.approx(model.tensors[f"{mixer}.dt_bias"], abs=VECTOR.ulp / 2)
    bias = layer.conv.bias / 2.0 ** (VECTOR.fraction + layer.conv.weight.exponent)
    assert bias == pytest.approx(model.tensors[f"{mixer}.conv1d.bias"], abs=1e-7)
    norm = layer.norm.weight.values / 2.0**layer.norm.weight.exponent
    assert norm == pytest.approx(model.tensors["layers.1.norm.weight"] * 6, rel=1e-4)
    assert layer.norm.eps == round(36 * 1e-5 * 2 ** (2 * RESIDUAL.fraction))
    assert layer.x_proj is None


def test_a_group_is_what_a_gated_norm_is_over() -> None:
    grouped = prepare(random_packed_model(tiny_config("mamba2", ngroups=2), 81), Precision()).layers[0].gate_norm
    whole = prepare(random_packed_model(tiny_config("mamba2"), 81), Precision()).layers[0].gate_norm
    assert grouped is not None
    assert whole is not None
    assert 2 * grouped.eps == pytest.approx(whole.eps, abs=1)


def test_planes_lie_along_the_outputs() -> None:
    model = packed()
    linear = prepare_linear(model, "layers.0.mixer.in_proj")
    assert isinstance(linear, BinaryLinear)
    original = model.linears["layers.0.mixer.in_proj"].planes
    assert linear.planes.tolist() == original.transpose(0, 2, 1).tolist()
    assert linear.planes.flags.c_contiguous
    assert (linear.coefficients.tolist(), linear.coefficient_exponent) == ([1], 0)


def test_coefficients_share_no_factor_of_two() -> None:
    model = packed()
    linear = model.linears["layers.0.mixer.in_proj"]
    coefficients = np.array([0.5, -1.25, 4.0], np.float32)
    three = replace(linear, planes=np.repeat(linear.planes, 3, axis=0), coefficients=coefficients)
    held = prepare_linear(
        replace(model, linears={**model.linears, "layers.0.mixer.in_proj": three}), "layers.0.mixer.in_proj"
    )
    assert isinstance(held, BinaryLinear)
    assert (held.coefficients.tolist(), held.coefficient_exponent) == ([2, -5, 16], 2)


def test_heads() -> None:
    model = packed()
    table = model.tensors["embedding.weight"]
    int8, binary = (prepare(model, Precision(head=head)).head for head in ("int8", "binary"))
    assert np.abs(int8.weight.astype(int)).max(1).tolist() == [127] * 19
    assert binary.weight.tolist() == np.where(table > 0, 1, -1).tolist()
    scale = binary.row_scale.values / 2.0**binary.row_scale.exponent
    assert scale == pytest.approx(np.abs(table).mean(1), rel=1e-3)
    prepared = prepare(model, Precision())
    assert prepared.head is prepared.embedding, "a tied table is held once"
    untied = replace(
        model, config=replace(model.config, tie_embeddings=False), tensors={**model.tensors, "lm_head.weight": -table}
    )
    assert (prepare(untied, Precision()).head.weight == -int8.weight).all()


@pytest.mark.parametrize(("bits", "fraction"), [(8, 4), (16, 12), (32, 28)])
def test_the_state_has_a_range_of_8(bits: int, fraction: int) -> None:
    assert prepare(packed(), Precision(state_bits=bits)).state == fixed(bits, fraction)


@pytest.mark.parametrize("family", ["mamba1", "mamba2"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(family: str, value: float) -> None:
    name = "layers.1.mixer.conv1d.weight"
    wrong = packed(family).tensors[name].copy()
    wrong[3, 0, 2] = value
    with pytest.raises(ValueError, match=r"^generated: layers\.1\.mixer\.conv1d\.weight holds a value that is not"):
        prepare(packed(family, **{name: wrong}), Precision())


def test_biases_beyond_every_format_do_not_wrap() -> None:
    """A convolution of the least weights and the greatest bias: the sum saturates on the bias's side."""
    tiny = np.full((82, 1, 4), 1e-30, np.float32)
    bias = np.where(np.arange(82) % 2, 1e30, -1e30).astype(np.float32)
    conv = prepare(packed(**{"layers.0.mixer.conv1d.weight": tiny, "layers.0.mixer.conv1d.bias": bias}), Precision())
    assert (np.sign(conv.layers[0].conv.bias) == np.sign(bias)).all()
    assert (np.abs(conv.layers[0].conv.bias.astype(float)) == 2.0**60).all()


def test_a_transformer_is_refused() -> None:
    config = ModelConfig(
        name="small-llama", family="llama", binarized=True, d_model=8, layers=1, vocab_size=9, heads=2, ffn=8
    )
    with pytest.raises(ValueError, match=r"^small-llama: the simulator runs mamba1 and mamba2, not llama$"):
        prepare(cast(PackedModel, SimpleNamespace(config=config)), Precision())
