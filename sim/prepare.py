"""From a packed model to the integers that the hardware holds: mantissas, exponents, tables, planes in kernel layout.

This is the only place where floats become integers; everything downstream is exact integer arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..models.config import ModelConfig
from ..models.packed import PackedLinear, PackedModel
from ..models.precision import SCALE_BITS, Precision
from .formats import RESIDUAL, VECTOR, Fixed, fixed
from .kernels.norm import GATED_FRACTION

LOG2E = math.log2(math.e)
_GREATEST_SCALE = (1 << (SCALE_BITS - 1)) - 1
_GREATEST_EXPONENT = 40
_GREATEST_BIAS = 2.0**60


@dataclass(frozen=True)
class Mantissas:
    """A float tensor as 16-bit integers with one exponent: value ≈ mantissa · 2^-exponent."""

    values: np.ndarray
    exponent: int


@dataclass(frozen=True)
class BinaryLinear:
    """A plane-weighted linear ready to run.

    ``planes`` uint64 [planes, words, outputs]: inputs along words, outputs contiguous, as ``binary_matmul`` reads them.
    ``coefficients`` int64 [planes] with ``coefficient_exponent``; ``alpha``, ``beta`` int16 [inputs].
    """

    inputs: int
    outputs: int
    planes: np.ndarray
    coefficients: np.ndarray
    coefficient_exponent: int
    alpha: Mantissas
    beta: Mantissas


@dataclass(frozen=True)
class DenseLinear:
    """An int8 linear: ``weight`` int8 [outputs, inputs], ``row_scale`` int16 [outputs] with one exponent."""

    inputs: int
    outputs: int
    weight: np.ndarray
    row_scale: Mantissas


Linear = BinaryLinear | DenseLinear


@dataclass(frozen=True)
class Norm:
    """RMSNorm over K channels at a time: ``weight`` = weight·sqrt(K); ``eps`` = round(K·eps·2^(2·input fraction))."""

    weight: Mantissas
    eps: int


@dataclass(frozen=True)
class Conv:
    """Convolution constants: ``weight`` [channels, taps]; ``bias`` int64 [channels] at the product's fraction."""

    weight: Mantissas
    bias: np.ndarray


@dataclass(frozen=True)
class Scan:
    """Scan constants: ``rate`` = −A·log2(e), ``skip`` = D, ``dt_bias`` int64 in ``VECTOR``."""

    rate: Mantissas
    skip: Mantissas
    dt_bias: np.ndarray


@dataclass(frozen=True)
class Layer:
    """One Mamba block. ``gate_norm`` exists in Mamba-2, ``x_proj`` and ``dt_proj`` in Mamba-1."""

    norm: Norm
    in_proj: Linear
    conv: Conv
    scan: Scan
    out_proj: Linear
    gate_norm: Norm | None = None
    x_proj: Linear | None = None
    dt_proj: Linear | None = None


@dataclass(frozen=True)
class IntegerModel:
    """Everything that the hardware's memories hold before the first token."""

    config: ModelConfig
    precision: Precision
    layers: tuple[Layer, ...]
    norm_f: Norm
    head: DenseLinear
    embedding: DenseLinear
    state: Fixed


def prepare(model: PackedModel, precision: Precision) -> IntegerModel:
    """Convert every constant of ``model`` to the hardware's integers.

    Raises ``ValueError`` for a family that the simulator does not run and for a tensor that is not finite.
    """
    config = model.config
    if config.family not in ("mamba1", "mamba2"):
        raise ValueError(f"{config.name}: the simulator runs mamba1 and mamba2, not {config.family}")
    for name, tensor in model.tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{config.name}: {name} holds a value that is not finite")
    embedding = _table(model.tensors["embedding.weight"], precision)
    head = embedding if config.tie_embeddings else _table(model.tensors["lm_head.weight"], precision)
    return IntegerModel(
        config=config,
        precision=precision,
        layers=tuple(_layer(model, i) for i in range(config.layers)),
        norm_f=_norm(model, "norm_f.weight", RESIDUAL.fraction),
        head=head,
        embedding=embedding,
        state=fixed(precision.state_bits, precision.state_bits - 1 - precision.state_range_bits),
    )


def prepare_linear(model: PackedModel, name: str) -> Linear:
    """One linear layer of any family, ready for ``apply_linear``; ``name`` as in ``layers.0.self_attn.q_proj``.

    Binarized layers stay planes, others become int8 with one scale per row.
    """
    if name in model.linears:
        return _binary(model.linears[name])
    return quantize_rows(model.tensors[f"{name}.weight"])


def mantissas(values: np.ndarray) -> Mantissas:
    """The 16-bit integers of ``values``, with the greatest exponent up to 40 that does not overflow.

    A tensor whose greatest magnitude is below 2^-26 thus keeps fewer bits, and no shift grows with its smallness.
    """
    values = np.asarray(values, np.float64)
    greatest = float(np.abs(values).max(initial=0.0))
    if greatest == 0.0:
        return Mantissas(np.zeros(values.shape, np.int16), 0)
    exponent = min(SCALE_BITS - 1 - math.frexp(greatest)[1], _GREATEST_EXPONENT)
    if np.rint(greatest * 2.0**exponent) > _GREATEST_SCALE:
        exponent -= 1
    return Mantissas(np.rint(values * 2.0**exponent).astype(np.int16), exponent)


def quantize_rows(weight: np.ndarray) -> DenseLinear:
    """int8 weights, one scale absmax/127 per row (row = output)."""
    weight = np.asarray(weight, np.float32)
    scale = np.abs(weight).max(1).astype(np.float64) / 127.0
    safe = scale.astype(np.float32)
    safe[safe == 0] = 1.0
    return DenseLinear(
        inputs=weight.shape[1],
        outputs=weight.shape[0],
        weight=np.rint(weight / safe[:, None]).astype(np.int8),
        row_scale=mantissas(scale),
    )


def _binarize_rows(weight: np.ndarray) -> DenseLinear:
    """The head's binary option: sign(w) and one scale mean|w| per row."""
    weight = np.asarray(weight, np.float32)
    return DenseLinear(
        inputs=weight.shape[1],
        outputs=weight.shape[0],
        weight=np.where(weight > 0, 1, -1).astype(np.int8),
        row_scale=mantissas(np.abs(weight).mean(1)),
    )


def _table(weight: np.ndarray, precision: Precision) -> DenseLinear:
    return quantize_rows(weight) if precision.head == "int8" else _binarize_rows(weight)


def _binary(packed: PackedLinear) -> BinaryLinear:
    coefficients = mantissas(packed.coefficients)
    values = coefficients.values.astype(np.int64)
    common = int(np.bitwise_or.reduce(values))
    zeros = (common & -common).bit_length() - 1 if common else 0
    return BinaryLinear(
        inputs=packed.inputs,
        outputs=packed.outputs,
        planes=packed.planes.transpose(0, 2, 1).copy(),
        coefficients=values >> zeros,
        coefficient_exponent=coefficients.exponent - zeros,
        alpha=mantissas(packed.pre),
        beta=mantissas(packed.shift),
    )


def _norm(model: PackedModel, name: str, fraction: int, groups: int = 1) -> Norm:
    weight = np.asarray(model.tensors[name], np.float64)
    channels = weight.size // groups
    eps = round(channels * model.config.norm_eps * 4.0**fraction)
    return Norm(mantissas(weight * math.sqrt(channels)), eps)


def _bias(values: np.ndarray, fraction: int) -> np.ndarray:
    """int64 with ``fraction`` fraction bits, clipped far outside every format: a sum with one never overflows."""
    scaled = np.asarray(values, np.float64) * 2.0**fraction
    return np.rint(np.clip(scaled, -_GREATEST_BIAS, _GREATEST_BIAS)).astype(np.int64)


def _conv(model: PackedModel, mixer: str) -> Conv:
    weight = mantissas(model.tensors[f"{mixer}.conv1d.weight"][:, 0, :])
    return Conv(weight, _bias(model.tensors[f"{mixer}.conv1d.bias"], VECTOR.fraction + weight.exponent))


def _scan(model: PackedModel, mixer: str, dt_bias: np.ndarray) -> Scan:
    rate = np.exp(np.asarray(model.tensors[f"{mixer}.A_log"], np.float64)) * LOG2E
    return Scan(mantissas(rate), mantissas(model.tensors[f"{mixer}.D"]), _bias(dt_bias, VECTOR.fraction))


def _layer(model: PackedModel, index: int) -> Layer:
    layer, mixer = f"layers.{index}", f"layers.{index}.mixer"
    second = model.config.family == "mamba2"
    return Layer(
        norm=_norm(model, f"{layer}.norm.weight", RESIDUAL.fraction),
        in_proj=prepare_linear(model, f"{mixer}.in_proj"),
        conv=_conv(model, mixer),
        scan=_scan(model, mixer, model.tensors[f"{mixer}.dt_bias" if second else f"{mixer}.dt_proj.bias"]),
        out_proj=prepare_linear(model, f"{mixer}.out_proj"),
        gate_norm=_norm(model, f"{mixer}.norm.weight", GATED_FRACTION, model.config.ngroups) if second else None,
        x_proj=None if second else prepare_linear(model, f"{mixer}.x_proj"),
        dt_proj=None if second else prepare_linear(model, f"{mixer}.dt_proj"),
    )
