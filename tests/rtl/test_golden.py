"""Golden data against plain Python: what the array does with each step, one integer at a time."""

import json
from pathlib import Path

import numpy as np
import pytest

from xnorscan.models.shipped import load_shipped
from xnorscan.rtl.bench.coverage import PLANES, REMAINDERS, STALLS, remainder
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.golden import (
    STREAMS,
    VALUES,
    Case,
    Product,
    array_beats,
    coverage_cases,
    products_of_text,
    random_case,
    random_product,
    write_golden,
)

SERIAL = ArrayConfig(rows=2, cols=3, lanes=8, inputs_max=256)
PARALLEL = ArrayConfig(rows=3, cols=2, lanes=4, activations="parallel", inputs_max=256)
TEXT = b'def area(width, height):\n    """Square metres."""\n    return width * height\n'


def run_steps(config: ArrayConfig, activations: np.ndarray, weights: np.ndarray) -> list[int]:
    """The array in plain Python: packed steps in, packed rows out."""
    width, mask = config.lanes * config.word_bits, (1 << config.word_bits) - 1
    sums = [[0] * config.cols for _ in range(config.rows)]
    out = []
    for activation, weight in zip(activations, weights, strict=True):
        step, words = (int.from_bytes(beat.tobytes(), "little") for beat in (activation, weight))
        flags = step >> config.rows * width
        double, last, height = flags & 1, flags >> 1 & 1, flags >> 2
        for r in range(config.rows):
            for c in range(config.cols):
                total = sums[r][c] * (2 if double else 1)
                for i in range(config.lanes):
                    u = step >> (r * width + i * config.word_bits) & mask
                    w = words >> (c * config.lanes + i) & 1
                    total += u ^ mask if w else u
                sums[r][c] = total
        if last:
            assert 1 <= height <= config.rows
            for r in range(height):
                packed = sum(value << c * config.acc_bits for c, value in enumerate(sums[r]))
                out.append(packed | (r == height - 1) << config.cols * config.acc_bits)
            sums = [[0] * config.cols for _ in range(config.rows)]
    return out


def plain_sums(item: Product) -> list[list[int]]:
    """Σ_p coefficient_p · Σ_i ±q_i."""
    planes, outputs, inputs = item.weights.shape
    return [
        [
            sum(
                int(item.coefficients[p]) * (int(q[i]) if item.weights[p, o, i] else -int(q[i]))
                for p in range(planes)
                for i in range(inputs)
            )
            for o in range(outputs)
        ]
        for q in item.q
    ]


def products(config: ArrayConfig) -> list[Product]:
    rng = np.random.default_rng(3)
    bits = (1, 2, 4, 8) if config.activations == "serial" else (8,) * 4
    return [
        random_product(rng, values, tokens, outputs, inputs, planes, bits[planes - 1], values)
        for values in VALUES
        for planes, (tokens, outputs, inputs) in enumerate([(1, 1, 1), (5, 4, 8), (2, 7, 21), (7, 3, 15)], 1)
    ]


@pytest.mark.parametrize("config", [SERIAL, PARALLEL], ids=["serial", "parallel"])
def test_steps_make_the_rows(config: ArrayConfig) -> None:
    rng = np.random.default_rng(0)
    for item in products(config):
        activations, weights, rows = array_beats(config, item, rng)
        expected = [int.from_bytes(row.tobytes(), "little") for row in rows]
        assert run_steps(config, activations, weights) == expected


@pytest.mark.parametrize("config", [SERIAL, PARALLEL], ids=["serial", "parallel"])
def test_sums_are_the_dot_products(config: ArrayConfig) -> None:
    for item in products(config):
        assert item.sums.tolist() == plain_sums(item)


def test_offset_less_raw_is_the_sum() -> None:
    for item in products(SERIAL):
        u, top = item.offset_binary.astype(int), (1 << item.bits) - 1
        raw = np.where(item.weights[:, None], top - u[:, None], u[:, None]).sum(3)
        sums = item.offset - np.einsum("p,pto->to", item.raw_coefficients, raw)
        assert sums.tolist() == plain_sums(item)


def test_products_of_a_text_are_what_the_model_does() -> None:
    model = load_shipped("tiny")
    captured = products_of_text(model, TEXT)
    assert [item.name for item in captured[:3]] == ["layers.0.in_proj", "layers.0.out_proj", "layers.1.in_proj"]
    assert len(captured) == 2 * model.config.layers
    first = captured[0]
    linear = model.linears["layers.0.mixer.in_proj"]
    assert first.q.shape == (len(TEXT), linear.inputs)
    assert abs(first.q.astype(int)).max(1).min() > 63, "a token's greatest activation uses all 8 bits"
    assert len({item.q.tobytes() for item in captured}) == len(captured)
    words = linear.planes[0, 5]
    assert first.weights[0, 5].tolist() == [bool(int(words[i // 64]) >> i % 64 & 1) for i in range(linear.inputs)]
    small = Product("few", first.q[:2, :], 8, first.weights[:, :3], first.coefficients)
    assert small.sums.tolist() == plain_sums(small)


@pytest.mark.parametrize("config", [SERIAL, PARALLEL], ids=["serial", "parallel"])
def test_coverage_cases_have_every_size(config: ArrayConfig) -> None:
    cases = coverage_cases(config, 1)
    assert [case.name for case in cases] == [f"waits_{stall}" for stall in STALLS]
    for case in cases:
        sizes = {(item.bits, len(item.weights), remainder(item.q.shape[1], config.lanes)) for item in case.products}
        bits = (1, 2, 4, 8) if config.activations == "serial" else (8,)
        assert sizes == {(b, p, r) for b in bits for p in PLANES for r in REMAINDERS}


def test_file_holds_everything_without_pickle(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    cases = [*coverage_cases(SERIAL, 1), random_case(SERIAL, 4), Case("alone", products(SERIAL)[5:6])]
    write_golden(path, SERIAL, cases)
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    described = json.loads(str(arrays["description"]))
    assert described["array"] == {"rows": 2, "cols": 3, "lanes": 8, "activations": "serial", "acc_bits": 16}
    assert list(described["cases"]) == [case.name for case in cases]
    for name in STREAMS:
        ends = [case[name] for case in described["cases"].values()]
        assert [first for first, _ in ends] == [0, *(end for _, end in ends[:-1])]
        assert ends[-1][1] == len(arrays[name]) == len(arrays[f"{name}_gaps"])
    assert [case["cycles"] is None for case in described["cases"].values()] == [True] * 6 + [False]
    waits = described["cases"]["waits_weights"]
    for entry in waits["products"]:
        assert arrays["i_weights_gaps"][slice(*entry["i_weights"])].any()
        assert not arrays["i_activations_gaps"][slice(*entry["i_activations"])].any()
        assert not arrays["o_gaps"][slice(*entry["o"])].any()


def test_same_seed_same_file(tmp_path: Path) -> None:
    for name in "ab":
        write_golden(tmp_path / name, PARALLEL, [random_case(PARALLEL, 2)], seed=9)
    first, second = (np.load(tmp_path / name, allow_pickle=False) for name in "ab")
    assert all(np.array_equal(first[name], second[name]) for name in first.files)


def test_parallel_takes_eight_bits() -> None:
    item = random_product(np.random.default_rng(0), "x", 1, 1, 1, 1, 4, "random")
    with pytest.raises(ValueError, match=r"^x has 4-bit activations, a parallel array takes 8 bits$"):
        array_beats(PARALLEL, item, np.random.default_rng(0))
