"""The shape-only trace: its rows in order, and its bytes against sums written out by hand from the dimensions."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import pytest

from xnorscan.models.config import ModelConfig
from xnorscan.models.operations import shape_trace, step_ops
from xnorscan.models.precision import Precision
from xnorscan.models.published import PUBLISHED, get_config, parameter_counts
from xnorscan.traces.trace import Metadata, Trace

MAMBA2_LAYER = ["norm", "in_proj", "conv1d", "scan", "norm_gate", "out_proj"]
MAMBA1_LAYER = ["norm", "in_proj", "conv1d", "x_proj", "dt_proj", "scan", "gate", "out_proj"]
LLAMA_LAYER = [
    "input_norm", "q_proj", "k_proj", "v_proj", "rope", "attention", "o_proj",
    "post_norm", "gate_proj", "up_proj", "swiglu", "down_proj",
]  # fmt: skip
KINDS = {
    "embedding": "embedding", "norm": "rmsnorm", "input_norm": "rmsnorm", "post_norm": "rmsnorm", "norm_f": "rmsnorm",
    "conv1d": "conv1d", "scan": "scan", "norm_gate": "gated_rmsnorm", "gate": "gate", "rope": "rope",
    "attention": "attention", "swiglu": "swiglu",
}  # fmt: skip
MAMBA1 = ModelConfig(
    name="m1", family="mamba1", binarized=True, d_model=20, layers=2, vocab_size=30,
    expand=2, d_state=5, d_conv=4, dt_rank=3,
)  # fmt: skip
LLAMA = ModelConfig(
    name="l", family="llama", binarized=True, d_model=20, layers=2, vocab_size=30, tie_embeddings=False, heads=4, ffn=36
)


def row(trace: Trace, name: str) -> dict[str, Any]:
    """The first row of this name, without what is 0 or absent."""
    values = trace.ops[trace.ops["name"] == name].iloc[0].to_dict()
    return {key: value for key, value in values.items() if not (value is None or value is pd.NA or value == 0)}


@pytest.mark.parametrize(
    ("name", "layer"), [("tiny", MAMBA2_LAYER), ("mamba-130m", MAMBA1_LAYER), ("fbi-llm-130m", LLAMA_LAYER)]
)
def test_rows_are_in_the_order_in_which_they_run(name: str, layer: list[str]) -> None:
    config = get_config(name)
    ops = shape_trace(config, phase="decode", length=7).ops
    assert ops["name"].tolist() == ["embedding", *layer * config.layers, "norm_f", "lm_head"]
    layers = [index for index in range(config.layers) for _ in layer]
    assert ops["layer"].tolist() == [-1, *layers, -1, -1]
    assert ops["kind"].tolist() == [KINDS.get(operation, "linear") for operation in ops["name"]]
    assert ops["step"].eq(0).all()
    assert ops[["density", "toggle", "saturations", "max_abs"]].isna().all(axis=None)


def test_tiny_decode_row_by_row() -> None:
    """d_model 128, d_inner 256, 8 heads of 32, d_state 8, conv over 272, in_proj 536 rows, vocabulary 256."""
    trace = shape_trace(get_config("tiny"), phase="decode", length=0)
    shared = {"sequences": 1, "tokens": 1}
    assert row(trace, "embedding") == shared | {
        "layer": -1, "name": "embedding", "kind": "embedding", "outputs": 128, "inputs": 256, "weight_planes": 8,
        "input_bytes": 128 + 2, "output_bytes": 512,
    }  # fmt: skip
    assert row(trace, "norm") == shared | {
        "name": "norm", "kind": "rmsnorm", "outputs": 128, "inputs": 128, "activation_bits": 32,
        "weight_bytes": 256, "input_bytes": 512, "output_bytes": 288,
    }  # fmt: skip
    assert row(trace, "in_proj") == shared | {
        "name": "in_proj", "kind": "linear", "outputs": 536, "inputs": 128, "weight_planes": 1, "activation_bits": 8,
        "weight_bytes": 536 * 16 + 512, "input_bytes": 128, "output_bytes": 1206,
    }  # fmt: skip
    assert row(trace, "conv1d") == shared | {
        "name": "conv1d", "kind": "conv1d", "outputs": 272, "inputs": 4, "activation_bits": 18, "state_bits": 18,
        "weight_bytes": 272 * 5 * 2, "input_bytes": 612, "output_bytes": 612,
        "state_read_bytes": 1836, "state_write_bytes": 1836,
    }  # fmt: skip
    assert row(trace, "scan") == shared | {
        "name": "scan", "kind": "scan", "outputs": 256, "inputs": 256, "heads": 8, "headdim": 32, "d_state": 8,
        "activation_bits": 18, "state_bits": 16, "weight_bytes": 48, "input_bytes": 630, "output_bytes": 576,
        "state_read_bytes": 4096, "state_write_bytes": 4096,
    }  # fmt: skip
    assert row(trace, "norm_gate") == shared | {
        "name": "norm_gate", "kind": "gated_rmsnorm", "outputs": 256, "inputs": 256, "activation_bits": 18,
        "weight_bytes": 512, "input_bytes": 1152, "output_bytes": 576,
    }  # fmt: skip
    assert row(trace, "out_proj") == shared | {
        "name": "out_proj", "kind": "linear", "outputs": 128, "inputs": 256, "weight_planes": 1, "activation_bits": 8,
        "weight_bytes": 4096 + 1024, "input_bytes": 256, "output_bytes": 512,
    }  # fmt: skip
    assert row(trace, "lm_head") == shared | {
        "layer": -1, "name": "lm_head", "kind": "linear", "outputs": 256, "inputs": 128, "weight_planes": 8,
        "activation_bits": 8, "weight_bytes": 256 * 128 + 512, "input_bytes": 128, "output_bytes": 1024,
    }  # fmt: skip


def test_a_one_bit_mamba1_keeps_its_two_selection_linears_in_int8() -> None:
    """d_inner 40, dt_rank 3, d_state 5."""
    trace = shape_trace(MAMBA1, phase="decode", length=0)
    planes = {
        name: row(trace, name)["weight_planes"] for name in ("in_proj", "x_proj", "dt_proj", "out_proj", "lm_head")
    }
    assert planes == {"in_proj": 1, "x_proj": 8, "dt_proj": 8, "out_proj": 1, "lm_head": 8}
    assert row(trace, "in_proj")["weight_bytes"] == 80 * 20 // 8 + 2 * 20 * 2
    assert row(trace, "x_proj")["weight_bytes"] == 13 * 40 + 13 * 2
    assert row(trace, "dt_proj")["weight_bytes"] == 40 * 3 + 40 * 2
    scan = row(trace, "scan")
    assert (scan["heads"], scan["headdim"], scan["d_state"]) == (40, 1, 5)
    assert scan["weight_bytes"] == 2 * (40 * 5 + 40 + 40)
    assert scan["input_bytes"] == (2 * 40 + 2 * 5) * 18 // 8 + 1  # 202.5
    assert scan["state_read_bytes"] == scan["state_write_bytes"] == 40 * 5 * 2
    assert "weight_bytes" not in row(trace, "gate")
    assert row(trace, "gate")["input_bytes"] == 2 * 40 * 18 // 8
    assert row(trace, "conv1d")["outputs"] == 40


def test_attention_reads_the_kv_cache_and_writes_its_growth() -> None:
    trace = shape_trace(LLAMA, phase="decode", length=9, batch=3)
    attention = row(trace, "attention")
    assert (attention["heads"], attention["headdim"], attention["context"]) == (4, 5, 10)
    assert attention["state_read_bytes"] == 3 * 10 * 2 * 20 * 2
    assert attention["state_write_bytes"] == 3 * 2 * 20 * 2
    assert attention["input_bytes"] == 3 * 3 * 20 * 18 // 8
    assert row(trace, "rope")["outputs"] == 40
    assert row(trace, "swiglu")["input_bytes"] == 3 * 2 * 36 * 18 // 8
    assert row(trace, "down_proj")["output_bytes"] == 3 * 20 * 4
    assert row(trace, "up_proj")["output_bytes"] == 3 * 36 * 18 // 8
    assert row(trace, "q_proj")["weight_bytes"] == 400 // 8 + 2 * 20 * 2


def test_bits_round_up_to_bytes_over_the_whole_operation() -> None:
    ops = shape_trace(MAMBA1, phase="prefill", length=3, logits="all").ops.set_index("name")
    assert ops.at["norm_f", "output_bytes"] == 3 * 20 * 18 // 8
    assert ops.at["dt_proj", "output_bytes"].tolist() == [3 * 40 * 18 // 8] * 2
    assert ops.at["scan", "input_bytes"].tolist() == [-(-3 * 90 * 18 // 8)] * 2  # 607.5 → 608, not 3 · 203


def test_prefill_tokens_and_logits() -> None:
    config = get_config("tiny")
    last = shape_trace(config, phase="prefill", length=5, batch=2).ops
    every = shape_trace(config, phase="prefill", length=5, batch=2, logits="all").ops
    outside = last["name"].isin(("norm_f", "lm_head"))
    assert last["tokens"].tolist() == [10] * (len(last) - 2) + [2, 2]
    assert every["tokens"].eq(10).all()
    assert every["sequences"].eq(2).all()
    pd.testing.assert_frame_equal(last[~outside], every[~outside])
    assert every["output_bytes"].iloc[-1] == 10 * 256 * 4


def test_state_is_moved_once_per_operation_whatever_the_length() -> None:
    config = get_config("tiny")
    columns = ["state_read_bytes", "state_write_bytes"]
    short, long = (shape_trace(config, phase="prefill", length=length).ops[columns] for length in (1, 1000))
    pd.testing.assert_frame_equal(short, long)
    batch = shape_trace(config, phase="decode", length=0, batch=7).ops[columns]
    pd.testing.assert_frame_equal(batch, 7 * short)


@pytest.mark.parametrize(
    ("precision", "scan_state", "head_weights", "fetched"),
    [
        (Precision(), 4096, 256 * 128 + 512, 130),
        (Precision(state_bits=12), 3072, 256 * 128 + 512, 130),
        (Precision(state_bits=8, head="binary"), 2048, 256 * 16 + 512, 18),
    ],
)
def test_precision_sets_the_state_and_the_head(
    precision: Precision, scan_state: int, head_weights: int, fetched: int
) -> None:
    trace = shape_trace(get_config("tiny"), phase="decode", length=0, precision=precision)
    assert row(trace, "scan")["state_read_bytes"] == scan_state
    assert row(trace, "scan")["state_bits"] == precision.state_bits
    assert row(trace, "lm_head")["weight_bytes"] == head_weights
    assert row(trace, "embedding")["input_bytes"] == fetched
    assert trace.metadata.precision["state_bits"] == precision.state_bits


@pytest.mark.parametrize("config", [get_config("tiny"), LLAMA], ids=lambda config: config.family)
def test_a_run_is_its_prefill_and_its_decode_steps(config: ModelConfig) -> None:
    run = shape_trace(config, phase="run", length=4, new_tokens=3, batch=2)
    steps = [shape_trace(config, phase="prefill", length=4, batch=2).ops] + [
        shape_trace(config, phase="decode", length=past, batch=2).ops.assign(step=step)
        for step, past in ((1, 4), (2, 5), (3, 6))
    ]
    pd.testing.assert_frame_equal(run.ops, pd.concat(steps, ignore_index=True))


def test_metadata_says_what_it_is() -> None:
    def metadata(phase: Any, **sizes: int) -> Metadata:
        return shape_trace(get_config("tiny"), phase=phase, **sizes).metadata  # type: ignore[arg-type]  # sizes by name

    made = metadata("run", length=4, new_tokens=3, batch=2)
    assert (made.model, made.phase, made.batch, made.prompt_length, made.new_tokens) == ("tiny", "run", 2, 4, 3)
    assert made.recorded is False
    assert "xnorscan" in made.versions
    assert (metadata("prefill", length=4).new_tokens, metadata("decode", length=4).new_tokens) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phase": "train", "length": 1}, "phase is 'train', it must be one of prefill, decode, run"),
        ({"phase": "prefill", "length": 0}, "length is 0, it must be at least 1 in prefill"),
        ({"phase": "run", "length": 0}, "length is 0, it must be at least 1 in run"),
        ({"phase": "decode", "length": -1}, "length is -1, it must be at least 0 in decode"),
        ({"phase": "decode", "length": 1, "batch": 0}, "batch is 0, it must be at least 1"),
        ({"phase": "decode", "length": 1, "new_tokens": 2}, "new_tokens is 2 in decode, it must be at least 0 in run"),
        ({"phase": "run", "length": 1, "new_tokens": -1}, "new_tokens is -1 in run, it must be at least 0 in run"),
        ({"phase": "prefill", "length": 1, "logits": "some"}, "logits is 'some', it must be one of last, all"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        shape_trace(get_config("tiny"), **arguments)


def test_sequences_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^5 tokens in 2 sequences: there must be equally many in each"):
        step_ops(get_config("tiny"), Precision(), step=0, sequences=2, tokens=5)


@pytest.mark.parametrize(
    ("name", "state_mb", "macs_g"),
    [("bi-mamba-780m", 75.5, 0.702), ("bi-mamba-1.3b", 100.7, 1.239), ("bi-mamba-2.7b", 167.8, 2.572)],
)
def test_bi_mamba_state_traffic_and_binary_work_per_token(name: str, state_mb: float, macs_g: float) -> None:
    """SSM state read and written at 16 bit, and one-bit multiply-accumulates, per decoded token [computed]."""
    trace = shape_trace(get_config(name), phase="decode", length=0)
    scan = trace.ops[trace.ops["kind"] == "scan"]
    assert round((scan["state_read_bytes"] + scan["state_write_bytes"]).sum() / 1e6, 1) == state_mb
    summary = trace.summary().set_index("name")
    assert round(summary.loc[["in_proj", "out_proj"], "macs"].sum() / 1e9, 3) == macs_g


@pytest.mark.parametrize("name", [name for name, config in PUBLISHED.items() if config.binarized])
def test_weight_bytes_are_the_counted_parameters(name: str) -> None:
    """Planes at one bit, α and β and the rest at 16, the head at 8 with a 16-bit scale per row."""
    config = get_config(name)
    counts = parameter_counts(config)
    total = shape_trace(config, phase="decode", length=0).ops["weight_bytes"].sum()
    head = config.vocab_size * config.d_model + 2 * config.vocab_size
    assert total == counts.binarized // 8 + 2 * (counts.scales + counts.other) + head


@pytest.mark.parametrize("name", ["mamba-130m", "mamba2-130m"])
def test_unbinarized_linears_run_in_eight_planes(name: str) -> None:
    ops = shape_trace(get_config(name), phase="decode", length=0).ops
    linears = ops[ops["kind"] == "linear"]
    assert linears["weight_planes"].eq(8).all()
    assert (linears["weight_bytes"] == linears["outputs"] * linears["inputs"] + 2 * linears["outputs"]).all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_collapsed_rows_of_a_published_model_are_few_and_complete(name: str) -> None:
    config = get_config(name)
    trace = shape_trace(config, phase="decode", length=100)
    collapsed = trace.collapse()
    assert len(collapsed) <= 15
    assert collapsed["count"].sum() == len(trace.ops)
    assert set(collapsed["count"]) == {1, config.layers}


def test_every_published_size_is_traced_quickly() -> None:
    """The promise is 0.2 s each; the best of three, so that a busy machine does not fail it (measured: 3 to 15 ms)."""
    for config in PUBLISHED.values():
        times = []
        for _ in range(3):
            start = time.perf_counter()
            shape_trace(config, phase="prefill", length=2048)
            times.append(time.perf_counter() - start)
        assert min(times) < 0.2, config.name
