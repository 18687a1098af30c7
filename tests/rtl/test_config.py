"""Sizes that cannot be built are refused with what would be right; widths hold the greatest values and no more."""

import re

import pytest

from xnorscan.designs.design import OneBitDesign, load_design, preset_names
from xnorscan.rtl.config import ArrayConfig, CoreConfig

SIZES = {"rows": 2, "cols": 3, "lanes": 4}
REFUSED = {
    "rows": ({"rows": 0}, "rows is 0, it must be at least 1"),
    "cols": ({"cols": -1}, "cols is -1, it must be at least 1"),
    "no lanes": ({"lanes": 0}, "lanes is 0, it must be at least 1"),
    "inputs": ({"inputs_max": 0}, "inputs_max is 0, it must be at least 1"),
    "block": ({"cols_per_block": 0}, "cols_per_block is 0, it must be at least 1"),
    "row block": ({"rows_per_block": 0}, "rows_per_block is 0, it must be at least 1"),
    "stage": ({"levels_per_stage": 0}, "levels_per_stage is 0, it must be at least 1"),
    "lanes": ({"lanes": 12}, "lanes is 12, it must be a power of two: a memory word of lanes is addressed"),
    "activations": ({"activations": "both"}, "activations is 'both', it must be serial or parallel"),
    "too wide": (
        {"inputs_max": 1 << 29},
        "inputs_max is 536870912: its accumulator of 37 bits is too wide, at most 36 bits are multiplied at once",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_size_that_cannot_be_built_is_refused(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ArrayConfig(**{**SIZES, **change})


@pytest.mark.parametrize("activations", ["serial", "parallel"])
@pytest.mark.parametrize("lanes", [1, 4, 64])
@pytest.mark.parametrize("inputs_max", [1, 63, 64, 4096])
def test_widths_hold_the_greatest_values_and_no_more(activations, lanes, inputs_max):
    config = ArrayConfig(rows=2, cols=3, lanes=lanes, activations=activations, inputs_max=inputs_max)
    greatest_step = lanes * (1 if activations == "serial" else 255)
    inputs = next(n for n in range(inputs_max, inputs_max + lanes) if n % lanes == 0)
    assert config.words_max * lanes == inputs
    assert 2 ** (config.dot_bits - 1) <= greatest_step < 2**config.dot_bits
    assert 2 ** (config.acc_bits - 1) <= 255 * inputs < 2**config.acc_bits


@pytest.mark.parametrize(("cols", "cols_per_block", "blocks"), [(1, 4, 1), (4, 4, 1), (5, 4, 2), (5, 1, 5)])
def test_every_column_lies_in_a_block(cols, cols_per_block, blocks):
    config = ArrayConfig(rows=1, cols=cols, lanes=1, cols_per_block=cols_per_block)
    assert config.blocks == blocks


def test_macs_of_a_cycle():
    assert ArrayConfig(rows=8, cols=16, lanes=64).binary_macs == 8192


def test_the_sizes_of_a_design():
    for name in preset_names():
        design = load_design(name)
        if isinstance(design, OneBitDesign):
            config = ArrayConfig.of_design(design)
            assert (config.rows, config.cols, config.lanes) == (design.rows, design.cols, design.lanes)
            assert (config.activations, config.tech) == (design.activations, design.rtl.tech)
            for name in ("inputs_max", "cols_per_block", "rows_per_block", "levels_per_stage"):
                assert getattr(config, name) == getattr(design.rtl, name)


@pytest.mark.parametrize(
    ("weight_words", "activation_words", "message"),
    [
        (3, 32, "weight_words is 3, a tile of 16 inputs takes 4: at most inputs_max=12 fits"),
        (4, 31, "activation_words is 31, a tile of 16 inputs takes 32: at most inputs_max=12 fits"),
        (0, 32, "weight_words is 0, a tile of 16 inputs takes 4: not even inputs_max=4 fits"),
    ],
)
def test_a_memory_too_small_for_a_tile_is_refused(weight_words, activation_words, message):
    array = ArrayConfig(**SIZES, inputs_max=16)
    CoreConfig(array=array, weight_words=4, activation_words=32)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        CoreConfig(array=array, weight_words=weight_words, activation_words=activation_words)
