"""The operations of a model on integer arrays: each allocates its result, runs its kernels and records itself."""

from __future__ import annotations

import numpy as np

from .formats import LOGIT, NORMED, RESIDUAL, SCANNED, VECTOR, Fixed
from .kernels.conv import conv1d_silu
from .kernels.linear import (
    add_residual,
    binary_matmul,
    combine_planes,
    embed,
    int8_matmul,
    scale_output,
    scale_rows,
    shift_dot,
)
from .kernels.norm import gate, gated_rmsnorm, rmsnorm
from .kernels.quantize import MODES, quantize, scale_and_quantize
from .kernels.scan import mamba1_scan, mamba2_scan
from .prepare import BinaryLinear, IntegerModel, Layer, Linear, Norm
from .record import (
    Recorder,
    conv_shape,
    embedding_shape,
    gate_shape,
    rmsnorm_shape,
    scan_shape,
)
from .state import LayerState


def apply_linear(
    linear: Linear,
    x: np.ndarray,
    source: Fixed,
    result: Fixed,
    quantizer: str,
    recorder: Recorder,
    layer: int,
    name: str,
) -> np.ndarray:
    """``x`` int32 [tokens, inputs] in format ``source`` → int32 [tokens, outputs] in format ``result``."""
    tokens = x.shape[0]
    q = np.empty(x.shape, np.int8)
    multiplier, shift = np.empty(tokens, np.int64), np.empty(tokens, np.int64)
    out = np.empty((tokens, linear.outputs), np.int32)
    if isinstance(linear, BinaryLinear):
        scale_and_quantize(x, linear.alpha.values, MODES[quantizer], q, multiplier, shift)
        total = _sum_planes(linear, recorder.pack(q))
        bias = np.empty(tokens, np.int64)
        shift_dot(x, linear.beta.values, source.fraction + linear.beta.exponent - result.fraction, bias)
        exponent = source.fraction + linear.alpha.exponent + linear.coefficient_exponent - result.fraction
        clipped = scale_output(total, multiplier, shift, exponent, bias, result.greatest, out)
    else:
        quantize(x, MODES[quantizer], q, multiplier, shift)
        if recorder.enabled:
            recorder.pack(q)
        acc = np.empty((tokens, linear.outputs), np.int32)
        int8_matmul(linear.weight, q, acc)
        scales = linear.row_scale
        exponent = source.fraction + scales.exponent - result.fraction
        clipped = scale_rows(acc, scales.values, multiplier, shift, exponent, result.greatest, out)
    recorder.linear(layer, name, linear, tokens, result.bits, clipped)
    return out


def _sum_planes(linear: BinaryLinear, activations: np.ndarray) -> np.ndarray:
    """Σ_p coefficient_p · (B_p · q): int32 [tokens, outputs] of one plane with coefficient 1, else int64."""
    acc = np.empty((linear.planes.shape[0], activations.shape[0], linear.outputs), np.int32)
    for plane, part in zip(linear.planes, acc, strict=True):
        binary_matmul(plane, activations, part)
    if linear.coefficients.tolist() == [1]:
        return acc[0]
    total = np.empty(acc.shape[1:], np.int64)
    combine_planes(acc, linear.coefficients, total)
    return total


def apply_embedding(model: IntegerModel, ids: np.ndarray, recorder: Recorder) -> np.ndarray:
    """``ids`` int64 [tokens] → residual int32 [tokens, d_model]."""
    table = model.embedding
    out = np.empty((ids.size, table.inputs), np.int32)
    exponent = table.row_scale.exponent - RESIDUAL.fraction
    clipped = embed(table.weight, table.row_scale.values, exponent, ids, RESIDUAL.greatest, out)
    planes = model.precision.head_planes
    recorder.vector(-1, "embedding", "embedding", clipped, lambda: embedding_shape(table.weight, ids.size, planes))
    return out


def apply_norm(norm: Norm, x: np.ndarray, recorder: Recorder, layer: int, name: str) -> np.ndarray:
    """RMSNorm of the residual: int32 [tokens, K] → int32 [tokens, K] (``NORMED``)."""
    out = np.empty_like(x)
    clipped = rmsnorm(x, norm.eps, norm.weight.values, norm.weight.exponent, out)
    recorder.vector(layer, name, "rmsnorm", clipped, lambda: rmsnorm_shape(x))
    return out


def apply_head(model: IntegerModel, residual: np.ndarray, recorder: Recorder) -> np.ndarray:
    """Final norm and head: residual int32 [tokens, d_model] → logits int32 [tokens, vocab] (``LOGIT``)."""
    normed = apply_norm(model.norm_f, residual, recorder, -1, "norm_f")
    return apply_linear(model.head, normed, NORMED, LOGIT, model.precision.quantizer, recorder, -1, "lm_head")


def apply_layer(
    model: IntegerModel, layer: Layer, residual: np.ndarray, state: LayerState, recorder: Recorder, index: int
) -> None:
    """One block: ``residual`` int32 [tokens, d_model] and ``state`` are updated in place."""
    quantizer = model.precision.quantizer
    normed = apply_norm(layer.norm, residual, recorder, index, "norm")
    proj = apply_linear(layer.in_proj, normed, NORMED, VECTOR, quantizer, recorder, index, "in_proj")
    mixed, fraction = (_mamba2 if layer.gate_norm else _mamba1)(model, layer, proj, state, recorder, index)
    out = apply_linear(layer.out_proj, mixed, fraction, RESIDUAL, quantizer, recorder, index, "out_proj")
    recorder.clipped(add_residual(residual, out, RESIDUAL.greatest))


def _convolve(
    layer: Layer, proj: np.ndarray, offset: int, state: LayerState, recorder: Recorder, index: int
) -> tuple[np.ndarray, np.ndarray]:
    sequences, channels, _ = state.conv.shape
    proj = proj.reshape(sequences, -1, proj.shape[1])
    out = np.empty((sequences, proj.shape[1], channels), np.int32)
    weight = layer.conv.weight
    clipped = conv1d_silu(proj, offset, state.conv, weight.values, weight.exponent, layer.conv.bias, out)
    recorder.vector(index, "conv1d", "conv1d", clipped, lambda: conv_shape(out, state.conv))
    return proj, out


def _mamba2(
    model: IntegerModel, layer: Layer, proj: np.ndarray, state: LayerState, recorder: Recorder, index: int
) -> tuple[np.ndarray, Fixed]:
    """proj columns: [z | x | B | C | dt]."""
    config, scan = model.config, layer.scan
    assert layer.gate_norm is not None
    streams, xbc = _convolve(layer, proj, config.d_inner, state, recorder, index)
    y = np.empty((*xbc.shape[:2], config.d_inner), np.int32)
    clipped = mamba2_scan(
        xbc, streams, config.d_inner + config.conv_dim, scan.dt_bias, scan.rate.values, scan.rate.exponent,
        scan.skip.values, scan.skip.exponent, state.scan, model.state.greatest, model.state.fraction, y,
    )  # fmt: skip
    inputs = xbc.size + proj.shape[0] * config.nheads
    recorder.vector(
        index, "scan", "scan", clipped,
        lambda: scan_shape(state.scan, model.state.bits, inputs, 3 * config.nheads, y),
    )  # fmt: skip
    y = y.reshape(-1, config.d_inner)
    norm = layer.gate_norm
    out = np.empty_like(y)
    clipped = gated_rmsnorm(y, proj, config.ngroups, norm.eps, norm.weight.values, norm.weight.exponent, out)
    recorder.vector(index, "norm_gate", "gated_rmsnorm", clipped, lambda: gate_shape(y, weighted=True))
    return out, NORMED


def _mamba1(
    model: IntegerModel, layer: Layer, proj: np.ndarray, state: LayerState, recorder: Recorder, index: int
) -> tuple[np.ndarray, Fixed]:
    """proj columns: [x | z]; x_proj gives [dt_low | B | C]."""
    config, scan, quantizer = model.config, layer.scan, model.precision.quantizer
    assert layer.x_proj is not None
    assert layer.dt_proj is not None
    _, x = _convolve(layer, proj, 0, state, recorder, index)
    flat = x.reshape(-1, config.d_inner)
    bc = apply_linear(layer.x_proj, flat, VECTOR, VECTOR, quantizer, recorder, index, "x_proj")
    low = np.ascontiguousarray(bc[:, : config.dt_rank])
    dt = apply_linear(layer.dt_proj, low, VECTOR, VECTOR, quantizer, recorder, index, "dt_proj")
    y = np.empty_like(x)
    clipped = mamba1_scan(
        x, dt.reshape(x.shape), bc.reshape(*x.shape[:2], -1), config.dt_rank, scan.dt_bias, scan.rate.values,
        scan.rate.exponent, scan.skip.values, scan.skip.exponent, state.scan, model.state.greatest,
        model.state.fraction, y,
    )  # fmt: skip
    inputs = 2 * x.size + 2 * flat.shape[0] * config.d_state
    constants = config.d_inner * config.d_state + 2 * config.d_inner
    recorder.vector(
        index, "scan", "scan", clipped, lambda: scan_shape(state.scan, model.state.bits, inputs, constants, y)
    )
    y = y.reshape(flat.shape)
    out = np.empty_like(y)
    clipped = gate(y, proj, config.d_inner, out)
    recorder.vector(index, "gate", "gate", clipped, lambda: gate_shape(y, weighted=False))
    return out, SCANNED
