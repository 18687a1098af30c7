"""The linear layers and the blocks between them, on floats through their formats, against the float64 equations."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from oracles import mamba1, mamba2
from oracles.fbi_linear import dense_weight, fbi_linear_factored, signs_of_plane
from oracles.nonlinear import rmsnorm
from oracles.quantizers import quantize_absmax, quantize_pow2
from oracles.random_models import pack_fbi_linear, random_packed_model, tiny_config
from xnorscan.models.config import ModelConfig
from xnorscan.models.layout import layout
from xnorscan.models.packed import PackedLinear, PackedModel
from xnorscan.models.precision import Precision
from xnorscan.sim.formats import LOGIT, NORMED, RESIDUAL, SCANNED, VECTOR, Fixed
from xnorscan.sim.layers import apply_embedding, apply_head, apply_layer, apply_linear, apply_norm
from xnorscan.sim.prepare import BinaryLinear, Linear, Mantissas, prepare, prepare_linear, quantize_rows
from xnorscan.sim.record import Recorder
from xnorscan.sim.state import zero_state

MODEL = random_packed_model(tiny_config("mamba2"), 90)
OFF = Recorder(prepare(MODEL, Precision()), enabled=False)


def fixed_point(values: np.ndarray, format_: Fixed) -> np.ndarray:
    """Integers of ``format_``, clipped."""
    return np.clip(np.rint(values / format_.ulp), -format_.greatest - 1, format_.greatest).astype(np.int32)


def apply(linear: Linear, x: np.ndarray, source: Fixed, result: Fixed, quantizer: str = "pow2") -> np.ndarray:
    return apply_linear(linear, x, source, result, quantizer, OFF, 0, "linear")


def random_fbi(inputs: int, outputs: int, seed: int) -> PackedLinear:
    rng = np.random.default_rng(seed)
    signs = rng.choice((-1.0, 1.0), (outputs, inputs))
    alpha = (rng.normal(0.8, 0.4, inputs) * inputs**-0.5).astype(np.float32)
    return pack_fbi_linear(signs, alpha, (rng.normal(0, 0.1, inputs) * inputs**-0.5).astype(np.float32))


def held(linear: PackedLinear) -> Linear:
    """``linear`` prepared, without a whole model around it."""
    return prepare_linear(cast(PackedModel, SimpleNamespace(linears={"it": linear})), "it")


def values_of(held: Mantissas) -> np.ndarray:
    return held.values / 2.0**held.exponent


FORMATS = [(NORMED, VECTOR), (NORMED, RESIDUAL), (VECTOR, VECTOR), (SCANNED, RESIDUAL)]


@pytest.mark.parametrize(("source", "result"), FORMATS)
@pytest.mark.parametrize("quantizer", ["pow2", "absmax"])
def test_fbi_linear_is_the_factored_form_of_quantized_activations(source: Fixed, result: Fixed, quantizer: str) -> None:
    """The oracle quantizes α·x in float64 with the same α and β: what is left is a rounding of each of the two parts.

    absmax adds the error of its multiplier, 1.5e-5, and now and then a q on the other side of a tie.
    """
    packed = random_fbi(150, 20, 91)
    linear = held(packed)
    assert isinstance(linear, BinaryLinear)
    x = fixed_point(np.random.default_rng(92).normal(0, 2, (7, 150)), source)
    scaled = x * source.ulp * values_of(linear.alpha)
    if quantizer == "pow2":
        q, exponent = quantize_pow2(scaled)
        scaled = np.ldexp(q, exponent[:, None])
    else:
        q, step = quantize_absmax(scaled)
        scaled = q * step[:, None]
    signs = signs_of_plane(packed.planes[0], 150)
    shared = x * source.ulp @ values_of(linear.beta)
    exact = fbi_linear_factored(scaled, signs, np.ones(150), np.zeros(150)) + shared[:, None]
    got = apply(linear, x, source, result, quantizer) * result.ulp
    slack = 0.0 if quantizer == "pow2" else 1e-4 * np.abs(exact).max()
    assert np.abs(got - exact).max() <= 1.001 * result.ulp + slack


@pytest.mark.parametrize("quantizer", ["pow2", "absmax"])
def test_three_planes(quantizer: str) -> None:
    rng = np.random.default_rng(93)
    first = random_fbi(150, 20, 94)
    planes = np.concatenate([random_fbi(150, 20, 95 + p).planes for p in range(3)])
    packed = replace(first, planes=planes, coefficients=np.array([1.0, 0.37, -0.11], np.float32))
    x = fixed_point(rng.normal(0, 2, (7, 150)), NORMED)
    exact = x * NORMED.ulp @ dense_weight(packed).T
    got = apply(held(packed), x, NORMED, VECTOR, quantizer) * VECTOR.ulp
    assert np.sqrt(np.mean((got - exact) ** 2) / np.mean(exact**2)) < {"pow2": 0.018, "absmax": 0.013}[quantizer]


@pytest.mark.parametrize(("source", "result"), [*FORMATS, (NORMED, LOGIT)])
@pytest.mark.parametrize("quantizer", ["pow2", "absmax"])
def test_int8_linear(source: Fixed, result: Fixed, quantizer: str) -> None:
    rng = np.random.default_rng(96)
    weight = rng.normal(0, 0.1, (20, 150)).astype(np.float32)
    x = fixed_point(rng.normal(0, 2, (7, 150)), source)
    exact = x * source.ulp @ weight.astype(np.float64).T
    got = apply(quantize_rows(weight), x, source, result, quantizer) * result.ulp
    assert np.sqrt(np.mean((got - exact) ** 2) / np.mean(exact**2)) < {"pow2": 0.018, "absmax": 0.013}[quantizer]


@pytest.mark.parametrize("quantizer", ["pow2", "absmax"])
@pytest.mark.parametrize("value", [0, 1, NORMED.greatest, -NORMED.greatest - 1])
def test_full_scale_rows_of_the_widest_layer(quantizer: str, value: int) -> None:
    """11008 equal inputs and weights: the sum saturates at the end that it should, or is exactly 0."""
    linear = held(pack_fbi_linear(np.array([[1.0], [-1.0]]) * np.ones((2, 11008)), np.ones(11008), np.zeros(11008)))
    x = np.full((1, 11008), value, np.int32)
    exact = np.array([[1, -1]]) * (11008.0 * value * NORMED.ulp / RESIDUAL.ulp)
    got = apply(linear, x, NORMED, RESIDUAL, quantizer)
    assert got == pytest.approx(np.clip(exact, -RESIDUAL.greatest - 1, RESIDUAL.greatest), rel=2e-5)


@pytest.mark.parametrize("quantizer", ["pow2", "absmax"])
@pytest.mark.parametrize("size", [1e-38, 1e-20, 1e-9, 1.0, 1e5, 1e9])
def test_scales_of_any_size(quantizer: str, size: float) -> None:
    """No α or β is so small or so great that a shift is undefined or a product wraps: the result clips."""
    one = random_fbi(70, 6, 97)
    linear = held(replace(one, pre=one.pre * np.float32(size), shift=one.shift * np.float32(size)))
    x = fixed_point(np.random.default_rng(98).normal(0, 2, (4, 70)), NORMED)
    x[2] = 0
    exact = x * NORMED.ulp @ dense_weight(one).T * size
    clipped = np.clip(exact, -64, 64)
    got = apply(linear, x, NORMED, VECTOR, quantizer) * VECTOR.ulp
    assert not got[2].any()
    assert got == pytest.approx(clipped, abs=0.2 * min(size, 1) + 2 * VECTOR.ulp if size <= 1 else 1e-2)


def test_a_linear_of_fbi_llm_runs() -> None:
    """Layers of a family whose whole models do not run yet: by name, out of a packed transformer."""
    config = ModelConfig(
        name="made", family="llama", binarized=True, d_model=72, layers=1, vocab_size=11, heads=2, ffn=130,
        tie_embeddings=False,
    )  # fmt: skip
    shapes = layout(config)
    linears = {name: random_fbi(inputs, outputs, 99) for name, (outputs, inputs) in shapes.linears.items()}
    tensors = {name: np.ones(shape, np.float32) for name, shape in shapes.tensors.items()}
    model = PackedModel(config, linears, tensors, {})
    assert len(linears) == 7
    for name, linear in linears.items():
        x = fixed_point(np.random.default_rng(100).normal(0, 1, (3, linear.inputs)), VECTOR)
        exact = x * VECTOR.ulp @ dense_weight(linear).T
        got = apply(prepare_linear(model, name), x, VECTOR, RESIDUAL) * RESIDUAL.ulp
        assert np.sqrt(np.mean((got - exact) ** 2) / np.mean(exact**2)) < 0.02


def test_embedding_and_head_are_the_tied_table() -> None:
    model = prepare(MODEL, Precision())
    table = MODEL.tensors["embedding.weight"].astype(np.float64)
    residual = apply_embedding(model, np.arange(19), OFF)
    assert np.abs(residual * RESIDUAL.ulp - table).max() < np.abs(table).max() / 127 * 0.51
    logits = apply_head(model, residual, OFF) * LOGIT.ulp
    exact = rmsnorm(table, MODEL.tensors["norm_f.weight"], 1e-5) @ table.T
    assert np.sqrt(np.mean((logits - exact) ** 2) / np.mean(exact**2)) < 0.02


def test_an_embedding_beyond_the_residual_saturates() -> None:
    tensors = {**MODEL.tensors, "embedding.weight": np.full((19, 36), 1e6, np.float32)}
    model = prepare(replace(MODEL, tensors=tensors), Precision())
    recorder = Recorder(model)
    recorder.begin_step(1, 2, False)
    assert (apply_embedding(model, np.array([0, 1]), recorder) == RESIDUAL.greatest).all()
    assert recorder.trace("prefill", 2, 0).ops["saturations"].tolist() == [72]


def test_norm() -> None:
    model = prepare(MODEL, Precision())
    x = fixed_point(np.random.default_rng(101).normal(0, 3, (5, 36)), RESIDUAL)
    exact = rmsnorm(x * RESIDUAL.ulp, MODEL.tensors["layers.1.norm.weight"], 1e-5)
    assert apply_norm(model.layers[1].norm, x, OFF, 1, "norm") * NORMED.ulp == pytest.approx(exact, abs=5e-4)


@pytest.mark.parametrize("family", ["mamba1", "mamba2"])
@pytest.mark.parametrize("ngroups", [1, 2])
def test_a_block_adds_what_the_equations_add(family: str, ngroups: int) -> None:
    packed = random_packed_model(tiny_config(family, ngroups=ngroups), 102)
    config, model = packed.config, prepare(packed, Precision(quantizer="absmax"))
    oracle = mamba1 if family == "mamba1" else mamba2
    layer = oracle.weights_from_packed(packed).layers[1]
    u = np.random.default_rng(103).normal(0, 1, (30, 36))
    residual = fixed_point(u, RESIDUAL)
    apply_layer(model, model.layers[1], residual, zero_state(config, 1)[1], OFF, 1)
    exact, _ = oracle.block(rmsnorm(u, layer.norm, 1e-5), layer, config)
    assert np.sqrt(np.mean((residual * RESIDUAL.ulp - u - exact) ** 2) / np.mean(exact**2)) < 0.03
