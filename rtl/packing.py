"""From a prepared layer to what the hardware's memories and settings hold, in plain numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..designs.design import ACTIVATION_BITS
from ..sim.formats import Fixed
from ..sim.prepare import BinaryLinear
from .back_config import BIAS_BITS, BackConfig
from .config import ArrayConfig
from .settings import COEFFICIENT_BITS, EXPONENT_LIMIT, RESULT_BITS

BANK_BITS = 32
"""A memory word is written in banks of 32 bits."""


@dataclass(frozen=True)
class LayerImage:
    """A layer as the hardware holds it.

    ``weights``: uint32 [output tiles · planes · words, banks], bank 0 the low bits. ``offsets``: int64 [output tiles,
    cols]. ``alpha``, ``beta``: int16 [inputs]. ``settings``: the arguments of ``layer_settings`` that the layer decides
    (all but ``tokens``).
    """

    weights: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    alpha: NDArray[np.int16]
    beta: NDArray[np.int16]
    settings: dict[str, int | tuple[int, ...]]


def pack_layer(linear: BinaryLinear, source: Fixed, result: Fixed, config: BackConfig) -> LayerImage:
    """``linear`` on inputs of format ``source`` and results of format ``result``, for the hardware of ``config``.

        exponent      = source.fraction + alpha.exponent + coefficient_exponent − result.fraction
        bias_exponent = source.fraction + beta.exponent − result.fraction

    Raises ``ValueError`` of one line for a layer outside the hardware's domain.
    """
    exponent = source.fraction + linear.alpha.exponent + linear.coefficient_exponent - result.fraction
    bias_exponent = source.fraction + linear.beta.exponent - result.fraction
    coefficients = tuple(linear.coefficients.tolist())
    _check_sizes(linear, source, result, config)
    _check_coefficients(coefficients, config)
    for name, value in (("exponent", exponent), ("bias_exponent", bias_exponent)):
        if abs(value) > EXPONENT_LIMIT:
            raise ValueError(f"{name} is {value}, it must be within ±{EXPONENT_LIMIT}")
    _check_bias(linear.beta.values, source, bias_exponent)
    return LayerImage(
        weights=weight_words(linear.planes, linear.inputs, config.array),
        offsets=tile_offsets(linear.planes, linear.inputs, coefficients, config.array),
        alpha=linear.alpha.values,
        beta=linear.beta.values,
        settings={
            "inputs": linear.inputs,
            "outputs": linear.outputs,
            "planes": len(coefficients),
            "bits": ACTIVATION_BITS,
            "coefficients": coefficients,
            "exponent": exponent,
            "bias_exponent": bias_exponent,
            "result_bits": result.bits,
        },
    )


def weight_words(planes: np.ndarray, inputs: int, array: ArrayConfig) -> NDArray[np.uint32]:
    """``planes`` uint64 [P, words of 64, outputs] (inputs along words) → uint32 [output tiles · P · words, banks].

    The word of (output tile, plane, word) has address (output_tile·P + plane)·words + word; its bit col·lanes + lane is
    the weight of input word·lanes + lane. Inputs and outputs beyond the layer's are 0.
    """
    words = -(-inputs // array.lanes)
    bits = _padded(_weight_bits(planes, inputs), 1, words * array.lanes)
    bits = _padded(bits, 2, -(-bits.shape[2] // array.cols) * array.cols)
    tiled = bits.reshape(len(planes), words, array.lanes, -1, array.cols).transpose(3, 0, 1, 4, 2)
    flat = tiled.reshape(-1, array.cols * array.lanes)
    banks = -(-flat.shape[1] // BANK_BITS)
    packed = np.packbits(_padded(flat, 1, banks * BANK_BITS), axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u4").astype(np.uint32)


def tile_offsets(
    planes: np.ndarray,
    inputs: int,
    coefficients: Sequence[int],
    array: ArrayConfig,
    bits: int = ACTIVATION_BITS,
    bipolar: bool = False,
) -> NDArray[np.int64]:
    """Offset of every output, int64 [output tiles, cols]: Σ_p C_p·(2^(bits−1)·K − popcount(plane p of the output)).

    ``bipolar``: one-bit activations ±1, whose coefficients are twice the planes': Σ_p C_p·K / 2. Outputs beyond the
    layer's have the offset of weights that are all 0.
    """
    outputs = planes.shape[2]
    ones = np.bitwise_count(planes).sum(1, dtype=np.int64)
    ones = _padded(ones, 1, -(-outputs // array.cols) * array.cols)
    factors = np.asarray(coefficients, np.int64)
    if bipolar:
        return np.full(ones.shape[1], factors.sum() * inputs // 2).reshape(-1, array.cols)
    return (factors @ ((inputs << (bits - 1)) - ones)).reshape(-1, array.cols)


def _weight_bits(planes: np.ndarray, inputs: int) -> NDArray[np.uint8]:
    """uint8 [P, inputs, outputs] of 0 and 1."""
    words = np.ascontiguousarray(planes.transpose(0, 2, 1)).astype("<u8", copy=False)
    bits = np.unpackbits(words.view(np.uint8), axis=2, count=inputs, bitorder="little")
    return bits.transpose(0, 2, 1)


def _padded(values: np.ndarray, axis: int, length: int) -> np.ndarray:
    """``values`` with zeros behind them along ``axis`` up to ``length``."""
    missing = [(0, length - size if index == axis else 0) for index, size in enumerate(values.shape)]
    return np.pad(values, missing)


def _check_sizes(linear: BinaryLinear, source: Fixed, result: Fixed, config: BackConfig) -> None:
    cols = config.array.cols
    for name, value, greatest in (
        ("inputs", linear.inputs, config.array.inputs_max),
        ("outputs", linear.outputs, config.output_tiles_max * cols),
        ("planes", len(linear.coefficients), config.planes_max),
        ("width of the inputs' format", source.bits, config.x_bits),
    ):
        if value > greatest:
            raise ValueError(f"{name} is {value}, this hardware takes at most {greatest}")
    if result.bits not in RESULT_BITS:
        raise ValueError(f"width of the results' format is {result.bits}, it must be 18, 24 or 32")


def _check_coefficients(coefficients: Sequence[int], config: BackConfig) -> None:
    if config.planes_max == 1 and coefficients != (1,):
        raise ValueError(
            f"coefficient is {coefficients[0]}, hardware for one plane takes 1: build it with planes_max=2"
        )
    limit = 1 << (COEFFICIENT_BITS - 1)
    for coefficient in coefficients:
        if not -limit <= coefficient < limit:
            raise ValueError(f"coefficient is {coefficient}, it must be from {-limit} to {limit - 1}")


def _check_bias(beta: np.ndarray, source: Fixed, exponent: int) -> None:
    """|Σ β·x| ≤ Σ|β|·2^(bits − 1) for every x of ``source``; half a unit may be added by rounding."""
    greatest = int(np.abs(beta.astype(np.int64)).sum()) << (source.bits - 1)
    limit = (1 << (BIAS_BITS - 1)) - 1
    if greatest > (limit << exponent if exponent >= 0 else limit >> -exponent):
        raise ValueError(f"Σ|β| is too great: a bias may reach {greatest} / 2^{exponent}, it must stay within ±{limit}")
