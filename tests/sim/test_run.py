"""Whole models: streaming, batches, nearness to the float64 language models, text in and text out, errors."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import mamba1, mamba2
from oracles.random_models import random_packed_model, tiny_config
from xnorscan.models.config import ModelConfig
from xnorscan.models.packed import PackedModel
from xnorscan.models.precision import STATE_BITS, Precision
from xnorscan.sim.formats import LOGIT
from xnorscan.sim.kernels.linear import binary_matmul, embed
from xnorscan.sim.kernels.quantize import scale_and_quantize
from xnorscan.sim.kernels.scan import mamba2_scan
from xnorscan.sim.run import BEGIN, Simulator, code_length
from xnorscan.sim.state import State

FAMILIES = ["mamba1", "mamba2"]
KINDS = {
    "mamba1": ("mamba1", {}),
    "mamba1, int8": ("mamba1", {"binarized": False}),
    "mamba2": ("mamba2", {}),
    "mamba2, int8": ("mamba2", {"binarized": False}),
    "mamba2, two groups": ("mamba2", {"ngroups": 2}),
}


@cache
def simulator(kind: str, quantizer: str = "pow2", state_bits: int = 16) -> Simulator:
    family, options = KINDS[kind]
    model = random_packed_model(tiny_config(family, **options), 110)
    return Simulator(model, Precision(quantizer=quantizer, state_bits=state_bits))


@cache
def byte_simulator() -> Simulator:
    config = replace(tiny_config("mamba2"), vocab_size=256)
    return Simulator(random_packed_model(config, 111))


def random_ids(sequences: int, length: int, seed: int = 112) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 19, (sequences, length))


def assert_equal_states(left: State, right: State) -> None:
    for a, b in zip(left, right, strict=True):
        assert a.conv.tolist() == b.conv.tolist()
        assert a.scan.tolist() == b.scan.tolist()


@pytest.mark.parametrize("kind", list(KINDS))
@settings(max_examples=8)
@given(cuts=st.lists(st.integers(1, 14), max_size=5))
def test_any_split_gives_the_integers_of_decode_alone(kind: str, cuts: list[int]) -> None:
    """A prefill then a decode, several prefills, single tokens: logits and states are the same integers."""
    run = simulator(kind)
    ids = random_ids(1, 15)
    alone = run.new_state()
    expected = np.concatenate([run.step(ids[:, t : t + 1], alone) for t in range(15)], axis=1)
    state = run.new_state()
    edges = sorted({0, 15, *cuts})
    parts = [run.step(ids[:, a:b], state) for a, b in pairwise(edges)]
    assert np.concatenate(parts, axis=1).tolist() == expected.tolist()
    assert_equal_states(state, alone)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_batch_is_each_sequence_alone(kind: str) -> None:
    run = simulator(kind)
    ids = random_ids(3, 9)
    together = run.new_state(3)
    first = run.step(ids, together)
    second = run.step(ids[:, :1], together)
    for row in range(3):
        alone = run.new_state()
        assert run.step(ids[row : row + 1], alone).tolist() == first[row : row + 1].tolist()
        assert run.step(ids[row : row + 1, :1], alone).tolist() == second[row : row + 1].tolist()
        for whole, part in zip(together, alone, strict=True):
            assert whole.conv[row].tolist() == part.conv[0].tolist()
            assert whole.scan[row].tolist() == part.scan[0].tolist()


@pytest.mark.parametrize("kind", list(KINDS))
def test_last_only_is_the_last(kind: str) -> None:
    run = simulator(kind)
    ids = random_ids(2, 6)
    whole, last = run.new_state(2), run.new_state(2)
    logits = run.step(ids, whole)
    assert logits.shape == (2, 6, 19)
    assert logits.dtype == np.int32
    assert run.step(ids, last, last_only=True).tolist() == logits[:, -1:].tolist()
    assert_equal_states(whole, last)


GREATEST_ERROR = {"pow2": 0.045, "absmax": 0.035}
"""Of the logits, root mean square, relative: nearly all of it from the int8 activations of five to nine linears."""


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("quantizer", list(GREATEST_ERROR))
def test_logits_are_near_the_float64_model(kind: str, quantizer: str) -> None:
    family, options = KINDS[kind]
    oracle = mamba1 if family == "mamba1" else mamba2
    model = random_packed_model(tiny_config(family, **options), 110)
    ids = random_ids(1, 60)
    exact, _ = oracle.language_model(oracle.weights_from_packed(model), ids[0])
    run = simulator(kind, quantizer)
    logits = run.step(ids, run.new_state())[0] * LOGIT.ulp
    assert np.sqrt(np.mean((logits - exact) ** 2) / np.mean(exact**2)) < GREATEST_ERROR[quantizer]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_state_width_runs(family: str) -> None:
    """8 bits lose much, from 16 on the state's width no longer shows beside the int8 activations."""
    model = random_packed_model(tiny_config(family), 110)
    oracle = mamba1 if family == "mamba1" else mamba2
    ids = random_ids(1, 60)
    exact, _ = oracle.language_model(oracle.weights_from_packed(model), ids[0])
    errors = {}
    for bits in STATE_BITS:
        run = simulator(family, state_bits=bits)
        logits = run.step(ids, run.new_state())[0] * LOGIT.ulp
        errors[bits] = np.sqrt(np.mean((logits - exact) ** 2) / np.mean(exact**2))
    assert errors[8] > 1.05 * errors[32]
    assert all(errors[bits] < 1.1 * errors[32] for bits in (16, 18, 24))


def test_the_head_can_be_binary() -> None:
    model = random_packed_model(tiny_config("mamba2"), 110)
    table = np.where(model.tensors["embedding.weight"] > 0, 1, -1) * np.abs(model.tensors["embedding.weight"]).mean(
        1, keepdims=True
    )
    binary = replace(model, tensors={**model.tensors, "embedding.weight": table.astype(np.float32)})
    ids = random_ids(1, 30)
    exact, _ = mamba2.language_model(mamba2.weights_from_packed(binary), ids[0])
    run = Simulator(model, Precision(head="binary"))
    logits = run.step(ids, run.new_state())[0] * LOGIT.ulp
    assert np.sqrt(np.mean((logits - exact) ** 2) / np.mean(exact**2)) < GREATEST_ERROR["pow2"]


@pytest.mark.parametrize("wrong", [-1, 19, 1 << 40])
def test_an_id_outside_the_vocabulary(wrong: int) -> None:
    run = simulator("mamba2")
    state = run.new_state()
    with pytest.raises(ValueError, match=rf"^token id {wrong} is outside the vocabulary of generated: 0 to 18$"):
        run.step(np.array([[3, wrong, 4]]), state)
    assert not any(memory.conv.any() or memory.scan.any() for memory in state), "a refused call changes nothing"


@pytest.mark.parametrize("shape", [(3,), (1, 0), (0, 3), (1, 1, 1)])
def test_ids_of_another_shape(shape: tuple[int, ...]) -> None:
    run = simulator("mamba2")
    with pytest.raises(ValueError, match=r"^ids have shape \[.*\], they must be \[sequences, length\] with"):
        run.step(np.zeros(shape, int), run.new_state())


def test_a_state_of_another_batch() -> None:
    run = simulator("mamba2")
    with pytest.raises(ValueError, match=r"^the state holds 1 sequences, ids have 2; make it with new_state$"):
        run.step(np.zeros((2, 3), int), run.new_state())


def test_weights_of_any_layout_run_the_same_compiled_kernels() -> None:
    """Read-only arrays, float16 and one-word rows are other types to the compiler, and must not reach a kernel."""
    wide = simulator("mamba2")
    wide.step(random_ids(1, 2), wide.new_state())
    before = {kernel: len(kernel.signatures) for kernel in (binary_matmul, scale_and_quantize, mamba2_scan, embed)}
    assert before[binary_matmul] == 1
    config = ModelConfig(
        name="one-word", family="mamba2", binarized=True, d_model=16, layers=1, vocab_size=19,
        expand=2, d_state=5, d_conv=4, headdim=16, ngroups=1,
    )  # fmt: skip
    model = random_packed_model(config, 113)
    tensors = {name: tensor.astype(np.float16) for name, tensor in model.tensors.items()}
    for array in (*tensors.values(), *(linear.planes for linear in model.linears.values())):
        array.flags.writeable = False
    narrow = Simulator(replace(model, tensors=tensors))
    ids = random_ids(1, 2)
    ids.flags.writeable = False
    narrow.step(ids, narrow.new_state())
    assert {kernel: len(kernel.signatures) for kernel in before} == before


def test_a_transformer_is_refused() -> None:
    config = ModelConfig(
        name="made", family="llama", binarized=True, d_model=8, layers=1, vocab_size=256, heads=2, ffn=8
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"^made: the simulator runs mamba1 and mamba2, not llama$"):
        Simulator(cast(PackedModel, SimpleNamespace(config=config)))


def test_text_needs_bytes() -> None:
    run = simulator("mamba2")
    message = r"^generated has a vocabulary of 19 tokens and no tokenizer here; text needs a byte-level model \(256\)$"
    with pytest.raises(ValueError, match=message):
        run.evaluate(b"text")
    with pytest.raises(ValueError, match=message):
        next(run.generate(b"text", 1))


def test_an_empty_text() -> None:
    with pytest.raises(ValueError, match=r"^the text is empty, there is nothing to measure$"):
        byte_simulator().evaluate(b"")


def test_evaluate_is_the_mean_code_length_from_the_first_byte_on() -> None:
    run, text = byte_simulator(), bytes(range(0, 250, 3)) + b"some text \x00\xff"
    ids = np.array([[BEGIN, *text[:-1]]])
    logits = run.step(ids, run.new_state())[0] * LOGIT.ulp
    expected = mamba2.bits_per_symbol(logits, np.array(list(text)))
    told: list[int] = []
    measured = run.evaluate(text, chunk=17, progress=told.append)
    assert measured.bits_per_byte == pytest.approx(expected, rel=1e-12)
    assert measured.tokens == len(text)
    assert told == [*range(17, len(text), 17), len(text)]
    assert measured.seconds > 0
    whole = run.evaluate(text, record=False)
    assert whole.bits_per_byte == pytest.approx(expected, rel=1e-12)
    assert whole.trace is None
    assert measured.trace is not None
    assert measured.trace.metadata.prompt_length == len(text)


def test_code_length_of_a_sure_and_of_an_unsure_model() -> None:
    logits = np.zeros((2, 256), np.int32)
    assert code_length(logits, np.array([3, 200])) == pytest.approx(16.0)
    logits[:, 7] = LOGIT.greatest
    assert code_length(logits, np.array([7, 7])) == 0.0
    assert code_length(logits, np.array([7, 8])) == pytest.approx(LOGIT.greatest * LOGIT.ulp / np.log(2))


def test_generate_is_greedy_decode() -> None:
    run, prompt = byte_simulator(), b"def "
    state = run.new_state()
    logits = run.step(np.array([[BEGIN, *prompt]]), state)
    expected = []
    for _ in range(12):
        expected.append(int(np.argmax(logits[0, -1])))
        logits = run.step(np.array([expected[-1:]]), state)
    assert b"".join(run.generate(prompt, 12)) == bytes(expected)
    assert b"".join(run.generate(prompt, 0)) == b""
    assert len(b"".join(run.generate(b"", 3))) == 3


def test_generate_with_a_seed() -> None:
    run = byte_simulator()
    text = [b"".join(run.generate(b"x", 20, top_k=40, temperature=5.0, seed=seed)) for seed in (1, 1, 2)]
    assert text[0] == text[1] != text[2]
    assert b"".join(run.generate(b"x", 20, top_k=1, seed=9)) == b"".join(run.generate(b"x", 20))


@pytest.mark.parametrize("options", [{"top_k": -1}, {"top_k": 3, "temperature": 0.0}])
def test_generate_refuses(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"^(top-k|temperature) is "):
        next(byte_simulator().generate(b"x", 1, **options))
