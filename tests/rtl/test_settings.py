"""rtl/settings.py: sizes of a layer against counting them out, and every refusal."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorscan.designs.design import load_design
from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.settings import EngineConfig, layer_settings


def engine(
    activations: Literal["serial", "parallel"] = "serial",
    rows: int = 4,
    cols: int = 6,
    weight_words: int = 64,
    activation_words: int = 200,
    **options: Any,
) -> EngineConfig:
    array = ArrayConfig(rows=rows, cols=cols, lanes=16, activations=activations, inputs_max=200)
    core = CoreConfig(array=array, weight_words=weight_words, activation_words=activation_words)
    return EngineConfig(core=core, **{"output_tiles_max": 8, "vector_lanes": 4, "planes_max": 2, **options})


LAYER = {"inputs": 100, "outputs": 13, "tokens": 9, "planes": 2, "bits": 4, "coefficients": (3, -1)}


def test_an_example() -> None:
    """7 words of 16 inputs, 3 tiles of 6 outputs, 4 + 4 + 1 tokens; a slot is 7 · 4 words: 7 fit, 3 are of use."""
    assert layer_settings(engine(), **LAYER, exponent=-5, bias_exponent=20, result_bits=24) == {
        "inputs": 100,
        "outputs": 13,
        "tokens": 9,
        "words": 7,
        "bits": 4,
        "planes": 2,
        "output_tiles": 3,
        "token_tiles": 3,
        "last_height": 1,
        "slots": 3,
        "coefficient_0": 3,
        "coefficient_1": -1,
        "coefficient_2": 0,
        "coefficient_3": 0,
        "exponent": -5,
        "bias_exponent": 20,
        "result_bits": 24,
    }


def test_slots_are_what_fits() -> None:
    layer = {"inputs": 100, "outputs": 1, "tokens": 400}
    assert layer_settings(engine(), bits=8, **layer)["slots"] == 200 // (7 * 8)
    assert layer_settings(engine(), bits=1, **layer)["slots"] == 200 // 7
    assert layer_settings(engine("parallel"), **layer)["slots"] == 200 // 7


@given(inputs=st.integers(1, 200), outputs=st.integers(1, 30), tokens=st.integers(1, 60))
def test_tiles_hold_every_token_and_output_once(inputs: int, outputs: int, tokens: int) -> None:
    settings = layer_settings(engine(weight_words=999), inputs=inputs, outputs=outputs, tokens=tokens)
    rows = [4] * (settings["token_tiles"] - 1) + [settings["last_height"]]
    assert sum(rows) == tokens
    assert 0 < rows[-1] <= 4
    assert len(range(0, outputs, 6)) == settings["output_tiles"]
    assert len(range(0, inputs, 16)) == settings["words"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": 0}, "inputs is 0, it must be from 1 to 200"),
        ({"inputs": 201}, "inputs is 201, it must be from 1 to 200"),
        ({"outputs": 0}, "outputs is 0, it must be from 1 to 16777215"),
        ({"tokens": 0}, "tokens is 0, it must be from 1 to 16777215"),
        ({"planes": 3}, "planes is 3, it must be from 1 to 2"),
        ({"bits": 3}, "bits is 3, it must be 1 or 2 or 4 or 8"),
        ({"result_bits": 16}, "result_bits is 16, it must be 18 or 24 or 32"),
        ({"exponent": 64}, "exponent is 64, it must be from -63 to 63"),
        ({"bias_exponent": -64}, "bias_exponent is -64, it must be from -63 to 63"),
        ({"coefficients": (1,)}, "1 coefficients for 2 planes, there must be one per plane"),
        ({"coefficients": (1, 32768)}, "coefficient is 32768, it must be from -32768 to 32767"),
        ({"outputs": 49}, "output tiles is 9, it must be from 1 to 8"),
        ({"tokens": 4 * 65535 + 1}, "token tiles is 65536, it must be from 1 to 65535"),
        (
            {"outputs": 25},
            r"weight words \(output tiles × planes × words\) is 70, it must be from 1 to 64",
        ),
    ],
)
def test_refused(change: dict[str, Any], message: str) -> None:
    layer_settings(engine(), **LAYER)
    with pytest.raises(ValueError, match=f"^{message}$"):
        layer_settings(engine(), **LAYER | change)


def test_parallel_has_one_width() -> None:
    with pytest.raises(ValueError, match=r"^bits is 4, it must be 8$"):
        layer_settings(engine("parallel"), **LAYER)


def test_one_plane_has_two_coefficients() -> None:
    layer = {"inputs": 1, "outputs": 1, "tokens": 1}
    assert layer_settings(engine(planes_max=1), **layer, coefficients=(2,))["coefficient_0"] == 2
    with pytest.raises(ValueError, match=r"^coefficient is 3, it must be 1 or 2$"):
        layer_settings(engine(planes_max=1), **layer, coefficients=(3,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 65536}, "rows is 65536, it must be from 1 to 65535"),
        ({"output_tiles_max": 0}, "output_tiles_max is 0, it must be from 1 to 64"),
        ({"output_tiles_max": 65}, "output_tiles_max is 65, it must be from 1 to 64"),
        ({"planes_max": 5}, "planes_max is 5, it must be from 1 to 4"),
        ({"vector_lanes": 32}, "vector_lanes is 32, it must be from 1 to 16"),
        ({"vector_lanes": 3}, "vector_lanes is 3, it must be a power of two"),
        ({"quantizer": "mean"}, "quantizer is 'mean', it must be pow2 or absmax"),
    ],
)
def test_engines_that_cannot_be_built(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        engine(**change)


def test_parts_are_of_one_engine() -> None:
    config = engine(rows=5, quantizer="absmax")
    assert (config.front.lanes, config.front.inputs_max, config.front.quantizer) == (4, 200, "absmax")
    assert (config.back.array, config.back.planes_max, config.back.quantizer) == (config.array, 2, "absmax")
    assert (config.back.output_tiles_max, config.back.tokens_max) == (8, 16)


def test_engine_of_a_design() -> None:
    """1,088 outputs of 32 columns are 34 tiles; nothing holds more tiles than there are words of weights."""
    design = load_design("ecp5-85")
    config = EngineConfig.of_design(design)
    assert config.core == CoreConfig.of_design(design)
    assert (config.planes_max, config.quantizer) == (design.rtl.planes_max, design.rtl.quantizer)
    assert config.output_tiles_max == 34
    assert config.vector_lanes == min(design.vector_lanes, design.lanes)
    many = design.model_copy(update={"rtl": design.rtl.model_copy(update={"outputs_max": 1 << 20})})
    assert EngineConfig.of_design(many).output_tiles_max == config.core.weight_words
