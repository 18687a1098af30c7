"""The image of a layer: bit by bit against its planes, number by number against the simulator's layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles.integers import clip, half_even
from xnorscan.models.packed import PackedLinear
from xnorscan.models.packing import pack_signs
from xnorscan.rtl.back_config import BIAS_BITS, BackConfig
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.packing import LayerImage, pack_layer, tile_offsets, weight_words
from xnorscan.sim.formats import LOGIT, NORMED, RESIDUAL, SCANNED, VECTOR, Fixed, fixed
from xnorscan.sim.kernels.quantize import MODES, scale_and_quantize
from xnorscan.sim.layers import apply_linear
from xnorscan.sim.prepare import BinaryLinear, Mantissas, _binary
from xnorscan.sim.record import Recorder


def array(**changes) -> ArrayConfig:
    return ArrayConfig(**{"rows": 2, "cols": 3, "lanes": 16, "inputs_max": 128} | changes)


def config(**changes) -> BackConfig:
    return BackConfig(**{"array": array(), "output_tiles_max": 4, "tokens_max": 4} | changes)


def layer(inputs: int, outputs: int, coefficients: tuple[float, ...] = (1.0,), seed: int = 0) -> BinaryLinear:
    """A layer of random weights, α about 0.05, β about 0.01."""
    rng = np.random.default_rng(seed)
    planes = np.stack([pack_signs(rng.choice((-1.0, 1.0), (outputs, inputs))) for _ in coefficients])
    pre, shift = rng.normal(0.05, 0.02, inputs), rng.normal(0, 0.01, inputs)
    return _binary(
        PackedLinear(
            planes, inputs, np.array(coefficients, np.float32), pre.astype(np.float32), shift.astype(np.float32)
        )
    )


def weight(image: LayerImage, sizes: ArrayConfig, inputs: int, output: int, plane: int, index: int, planes: int) -> int:
    """The bit that the contract of the memory says."""
    words = -(-inputs // sizes.lanes)
    address = (output // sizes.cols * planes + plane) * words + index // sizes.lanes
    bit = output % sizes.cols * sizes.lanes + index % sizes.lanes
    return int(image.weights[address, bit // 32]) >> bit % 32 & 1


def results(image: LayerImage, linear: BinaryLinear, x: np.ndarray, sizes: ArrayConfig, quantizer: str) -> list:
    """What the hardware computes from the image, in plain integers: mismatches of u and w, offsets, scale and bias."""
    q = np.empty(x.shape, np.int8)
    multiplier, shift = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    scale_and_quantize(x, image.alpha, MODES[quantizer], q, multiplier, shift)
    s, coefficients = image.settings, image.settings["coefficients"]
    out = []
    for t, tokens in enumerate(x.tolist()):
        bias = half_even(sum(b * v for b, v in zip(image.beta.tolist(), tokens, strict=True)), s["bias_exponent"])
        u = [int(v) + 128 for v in q[t]]
        row = []
        for o in range(linear.outputs):
            acc = int(image.offsets[o // sizes.cols, o % sizes.cols])
            for p, coefficient in enumerate(coefficients):
                bits = [weight(image, sizes, linear.inputs, o, p, i, len(coefficients)) for i in range(linear.inputs)]
                acc -= coefficient * sum(255 - v if w else v for w, v in zip(bits, u, strict=True))
            scaled = half_even(acc * int(multiplier[t]), s["exponent"] - int(shift[t]))
            row.append(clip(scaled + bias, s["result_bits"]))
        out.append(row)
    return out


@pytest.mark.parametrize("quantizer", ["pow2", "absmax"])
@pytest.mark.parametrize(
    ("source", "result"), [(NORMED, VECTOR), (NORMED, RESIDUAL), (SCANNED, RESIDUAL), (VECTOR, VECTOR), (NORMED, LOGIT)]
)
@pytest.mark.parametrize("coefficients", [(1.0,), (0.7, -0.3, 0.11)])
def test_the_image_computes_what_the_simulator_does(
    coefficients: tuple[float, ...], source: Fixed, result: Fixed, quantizer: str
) -> None:
    linear = layer(37, 7, coefficients)
    image = pack_layer(linear, source, result, config(planes_max=4 if len(coefficients) > 1 else 1))
    rng = np.random.default_rng(1)
    x = (rng.normal(0, 0.1, (3, 37)) * source.greatest).clip(-source.greatest, source.greatest).astype(np.int32)
    want = apply_linear(linear, x, source, result, quantizer, Recorder(None), 0, "proj")
    assert results(image, linear, x, array(), quantizer) == want.tolist()


@pytest.mark.parametrize(("lanes", "cols"), [(1, 3), (8, 5), (16, 3), (64, 2), (128, 1)])
def test_every_weight_lies_where_the_array_reads_it(lanes: int, cols: int) -> None:
    sizes, linear = array(lanes=lanes, cols=cols), layer(101, 7, (1.0, 0.5))
    words = weight_words(linear.planes, 101, sizes)
    tiles, per_word = -(-7 // cols), -(-101 // lanes)
    assert words.dtype == np.uint32
    assert words.shape == (tiles * 2 * per_word, -(-lanes * cols // 32))
    image = LayerImage(words, np.zeros(0, np.int64), linear.alpha.values, linear.beta.values, {})
    for plane in range(2):
        for o in range(7):
            for i in range(101):
                assert weight(image, sizes, 101, o, plane, i, 2) == int(linear.planes[plane, i // 64, o]) >> i % 64 & 1
    assert np.bitwise_count(words).sum() == np.bitwise_count(linear.planes).sum()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_offsets_turn_mismatches_into_dot_products(bits: int) -> None:
    rng = np.random.default_rng(bits)
    signs = rng.choice((-1, 1), (5, 20))
    q = rng.integers(-(1 << bits - 1), 1 << bits - 1, 20)
    u = (q + (1 << bits - 1)).tolist()
    offsets = tile_offsets(pack_signs(signs.astype(float)).T[None], 20, [3], array(), bits).ravel()
    for o, row in enumerate(signs.tolist()):
        raw = sum((1 << bits) - 1 - v if s > 0 else v for s, v in zip(row, u, strict=True))
        assert offsets[o] - 3 * raw == 3 * int(signs[o] @ q)


def test_offsets_of_signs_as_activations() -> None:
    rng = np.random.default_rng(0)
    signs, a = rng.choice((-1, 1), (5, 21)), rng.choice((-1, 1), 21)
    offsets = tile_offsets(pack_signs(signs.astype(float)).T[None], 21, [2], array(), bipolar=True).ravel()
    mismatches = (signs != a).sum(1)
    assert (offsets[:5] - 2 * mismatches).tolist() == (signs @ a).tolist()


def scaled(linear: BinaryLinear, **exponents: int) -> BinaryLinear:
    return replace(linear, **{k: Mantissas(getattr(linear, k).values, v) for k, v in exponents.items()})


@pytest.mark.parametrize(
    ("linear", "source", "result", "message"),
    [
        (layer(129, 3), NORMED, VECTOR, "inputs is 129, this hardware takes at most 128"),
        (layer(8, 13), NORMED, VECTOR, "outputs is 13, this hardware takes at most 12"),
        (layer(8, 3, (1.0, 0.5)), NORMED, VECTOR, "planes is 2, this hardware takes at most 1"),
        (layer(8, 3, (0.75,)), NORMED, VECTOR, "coefficient is 3, hardware for one plane takes 1"),
        (layer(8, 3, (-1.0,)), NORMED, VECTOR, "coefficient is -1, hardware for one plane takes 1"),
        (layer(8, 3), RESIDUAL, VECTOR, "width of the inputs' format is 32, this hardware takes at most 24"),
        (layer(8, 3), NORMED, fixed(20, 11), "width of the results' format is 20, it must be 18, 24 or 32"),
        (scaled(layer(8, 3), alpha=59), NORMED, VECTOR, "exponent is 64, it must be within ±63"),
        (scaled(layer(8, 3), beta=-69), NORMED, VECTOR, "bias_exponent is -64, it must be within ±63"),
        (scaled(layer(8, 3), beta=0), NORMED, RESIDUAL, "Σ|β| is too great: a bias may reach"),
    ],
)
def test_refuses_a_layer_outside_the_domain(linear: BinaryLinear, source: Fixed, result: Fixed, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("|", r"\|")) as error:
        pack_layer(linear, source, result, config())
    assert "\n" not in str(error.value)


def test_refuses_a_coefficient_that_no_multiplier_takes() -> None:
    wide = replace(layer(8, 3, (1.0, 0.5)), coefficients=np.array([1, 32768]))
    with pytest.raises(ValueError, match="coefficient is 32768, it must be from -32768 to 32767"):
        pack_layer(wide, NORMED, VECTOR, config(planes_max=2))


def test_the_greatest_bias_is_the_last_that_fits() -> None:
    """β = 2^15 − 1 and 1 of x = 2^23 make 2^38: 2^32 − 2^(38 − 6) / 2^15 more than fits."""
    beta = np.array([32767, 0, 0, 0, 0, 0, 0, 0], np.int16)
    exponent = NORMED.fraction - RESIDUAL.fraction + 6
    fits = replace(layer(8, 3), beta=Mantissas(beta, exponent))
    assert ((1 << BIAS_BITS - 1) - 1) << 6 >= 32767 << 23
    pack_layer(fits, NORMED, RESIDUAL, config())
    beta[1] = 1
    with pytest.raises(ValueError, match="a bias may reach 274877906944 / 2\\^6, it must stay within ±4294967295"):
        pack_layer(fits, NORMED, RESIDUAL, config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"planes_max": 5}, "planes_max is 5, it must be 1 to 4"),
        ({"output_tiles_max": 0}, "output_tiles_max is 0, it must be 1 to 65535"),
        ({"quantizer": "best"}, "quantizer is 'best', it must be pow2 or absmax"),
        ({"tokens_max": 6}, "tokens_max is 6, it must be a power of two and at least 2"),
        ({"tokens_max": 1}, "tokens_max is 1, it must be a power of two and at least 2"),
    ],
)
def test_refuses_sizes_that_cannot_be_built(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**changes)
