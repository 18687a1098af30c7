"""The closed forms against schedules walked step by step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorscan.designs.pipeline import (
    array_latency,
    dot_latency,
    layer_cycles,
    pass_steps,
    rows_buffered,
    select_latency,
)

SHAPE = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 9),
        "cols": st.integers(1, 9),
        "lanes": st.sampled_from([1, 2, 4, 64]),
        "activations": st.sampled_from(["serial", "parallel"]),
        "cols_per_block": st.integers(1, 5),
        "levels_per_stage": st.integers(1, 4),
    }
)
LAYER = st.fixed_dictionaries(
    {
        "tokens": st.integers(1, 30),
        "outputs": st.integers(1, 30),
        "inputs": st.integers(1, 200),
        "planes": st.integers(1, 4),
        "bits": st.sampled_from([1, 2, 4, 8]),
    }
)


def latency_of(shape):
    return array_latency(**{name: size for name, size in shape.items() if name != "activations"})


def walked_cycles(shape, layer):
    """Every step and row in turn: a pass ends no sooner than its predecessor's rows have left their tree."""
    rows, now, previous_end, previous_height, last_row = shape["rows"], 0, None, 0, 0
    for token in range(0, layer["tokens"], rows):
        height = min(rows, layer["tokens"] - token)
        for _output in range(0, layer["outputs"], shape["cols"]):
            for _plane in range(layer["planes"]):
                for _bit in range(layer["bits"] if shape["activations"] == "serial" else 1):
                    for _word in range(0, layer["inputs"], shape["lanes"]):
                        now += 1
                if previous_end is not None:
                    now = max(now, previous_end + previous_height)
                previous_end, previous_height = now, height
                last_row = now + latency_of(shape) + height - 1
    return last_row


@given(SHAPE, LAYER)
def test_layer_cycles_are_those_of_the_schedule(shape, layer):
    assert layer_cycles(**layer, **shape) == walked_cycles(shape, layer)


@given(SHAPE, st.lists(LAYER, min_size=1, max_size=5))
def test_layer_cycles_take_arrays(shape, layers):
    arrays = {name: np.array([layer[name] for layer in layers], dtype=np.int64) for name in layers[0]}
    cycles = layer_cycles(**arrays, **shape)
    assert cycles.dtype == np.int64
    assert cycles.tolist() == [walked_cycles(shape, layer) for layer in layers]


def test_steps_of_a_pass_in_both_modes():
    assert pass_steps(65, 8, 64, "serial") == 16
    assert pass_steps(65, 8, 64, "parallel") == 2


@pytest.mark.parametrize(("lanes", "cycles"), [(1, 1), (2, 1), (4, 2), (64, 6)])
def test_a_dot_product_takes_a_cycle_for_each_level_of_its_tree(lanes, cycles):
    assert dot_latency(lanes, 1) == cycles


@pytest.mark.parametrize(("lanes", "levels_per_stage", "cycles"), [(1, 2, 1), (4, 2, 1), (8, 2, 2), (64, 4, 2)])
def test_levels_of_a_stage_share_its_cycle(lanes, levels_per_stage, cycles):
    assert dot_latency(lanes, levels_per_stage) == cycles


@pytest.mark.parametrize(("count", "levels"), [(1, 1), (2, 1), (3, 2), (8, 2), (9, 3), (32, 3), (33, 4)])
def test_select_levels_take_two_words_then_four(count, levels):
    assert select_latency(count) == levels


def test_latency_of_an_array_adds_up_its_stages():
    shape = {"rows": 8, "cols": 10, "lanes": 64, "cols_per_block": 4, "levels_per_stage": 2}
    assert array_latency(**shape) == 3 + dot_latency(64, 2) + 2 + 2


@pytest.mark.parametrize(("rows", "latency"), [(1, 5), (8, 10), (8, 5), (8, 6), (16, 14)])
def test_buffered_rows_cover_those_on_their_way_in_whole_rams(rows, latency):
    buffered = rows_buffered(rows, latency)
    assert buffered % 16 == 0
    assert latency - 1 + 2 + 1 + rows <= buffered < latency + 2 + rows + 16
