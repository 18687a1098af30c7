"""energy_models/traffic.py: compulsory traffic, what stays on chip, and never less as memories shrink."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.cost_workloads import array, linear, model_trace, ops_of, scan
from xnorscan.designs.design import OneBitDesign, load_design
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.ops import Ops
from xnorscan.energy_models.traffic import Traffic, fit, place, traffic

BI_MAMBA = "bi-mamba-2.7b"
BINARY_WEIGHTS = 2_571_632_640 // 8  # 321.5 MB
SCALES = 64 * 2 * (2560 + 5120) * 2  # α and β of in_proj and out_proj
HEAD = 32000 * 2560 + 32000 * 2  # int8 rows and their scales
VECTOR_WEIGHTS = 327_680 + 5_120 + 3_440_640 + 30_720 + 655_360  # norms, norm_f, conv1d, scan, gated norms
SCAN_STATE = 2 * 64 * 5120 * 128 * 2  # read and written, 16 bit
CONV_STATE = 2 * 64 * 5376 * 3 * 18 // 8


def moved(ops: Ops, **design: object) -> Traffic:
    made = array(**design)
    return traffic(ops, made, place(ops, made))


def test_bi_mamba_2_7b_decode_streams_exactly_its_bytes() -> None:
    ops = Ops.from_frame(model_trace(BI_MAMBA).ops)
    design = load_design("edge-28nm")
    bytes_moved = traffic(ops, design, place(ops, design))
    linears = ops.is_kind("linear") & ~ops.is_head
    assert round(BINARY_WEIGHTS / 1e6, 1) == 321.5
    assert bytes_moved.dram_weights[linears].sum() == BINARY_WEIGHTS + SCALES
    assert bytes_moved.dram_weights[ops.is_head].sum() == HEAD
    assert bytes_moved.dram_weights[ops.is_kind("embedding")].sum() == 2560 + 2
    assert bytes_moved.dram_state[ops.is_kind("scan")].sum() == SCAN_STATE == 167_772_160
    assert bytes_moved.dram_state[ops.is_kind("conv1d")].sum() == CONV_STATE
    assert bytes_moved.dram_activations.sum() == 0
    total = BINARY_WEIGHTS + SCALES + HEAD + 2562 + VECTOR_WEIGHTS + SCAN_STATE + CONV_STATE
    assert bytes_moved.dram.sum() == total == 582_283_266


def test_fp16_moves_9_4_times_as_much_and_8_3_times_with_the_same_head() -> None:
    """5.48 GB against 582 MB; with an FP16 head in both the published arithmetic of 8.3 times."""
    ops, design = Ops.from_frame(model_trace(BI_MAMBA).ops).as_fp16(), load_design("edge-28nm/fp16")
    total = int(traffic(ops, design, place(ops, design)).dram.sum())
    head = 2 * 32000 * 2560
    assert total == 2 * 2_571_632_640 + head + 2 * 2560 + VECTOR_WEIGHTS + SCAN_STATE + 2 * 64 * 5376 * 3 * 2
    assert total / 582_283_266 == pytest.approx(9.417, abs=1e-3)
    assert total / (582_283_266 - HEAD + head) == pytest.approx(8.26, abs=0.01)


def test_a_prefill_moves_its_state_once_but_touches_it_on_chip_at_every_token() -> None:
    ops = Ops.from_frame(model_trace(BI_MAMBA, phase="prefill", length=96).ops)
    design = load_design("datacenter-7nm")
    recurrent = ops.is_kind("scan", "conv1d")
    resident = traffic(ops, design, place(ops, design))
    assert resident.state_reads[recurrent].sum() == resident.state_writes[recurrent].sum()
    assert resident.state_reads[recurrent].sum() == 96 * (SCAN_STATE + CONV_STATE) // 2
    spilling = load_design("edge-28nm")
    spilled = traffic(ops, spilling, place(ops, spilling))
    assert spilled.dram_state[recurrent].sum() == SCAN_STATE + CONV_STATE


def test_datacenter_keeps_the_state_of_bi_mamba_2_7b() -> None:
    ops, design = Ops.from_frame(model_trace(BI_MAMBA).ops), load_design("datacenter-7nm")
    placement = place(ops, design)
    assert placement.states == {"conv1d", "scan", "attention"}
    assert placement.weights == {"vector"}
    assert traffic(ops, design, placement).dram_state.sum() == 0


def test_residency_is_by_group_smallest_first() -> None:
    """Weights: scan 12 B, head 64 B, linear 1,024 B."""
    head = linear(outputs=64, inputs=8, layer=-1, name="lm_head")
    ops = ops_of(scan(), linear(outputs=1024, inputs=8), head)
    assert place(ops, array(weight_memory_kib=0)).weights == set()
    assert place(ops, array(weight_memory_kib=1)).weights == {"vector", "head"}
    assert place(ops, array(weight_memory_kib=2)).weights == {"vector", "head", "linear"}
    assert list(moved(ops, weight_memory_kib=1).dram_weights) == [0, 1024, 0]


def test_weights_of_many_steps_are_kept_once() -> None:
    ops = ops_of(*(linear(outputs=1024, inputs=8, step=step) for step in range(3)))
    assert place(ops, array(weight_memory_kib=1)).weight_need == 1024
    assert list(moved(ops, weight_memory_kib=0).dram_weights) == [1024] * 3


def test_spilled_inputs_take_the_cheaper_order() -> None:
    """64 tokens × 128 inputs of 8 bits = 8 KiB in 1 KiB: 8 chunks, or again for each tile of 8 outputs."""
    few = linear(tokens=64, outputs=16, inputs=128)  # 256 B of weights: cheaper 8 times than the inputs twice
    heavy = linear(tokens=64, outputs=16, inputs=128, planes=8, weight_bytes=16384)
    out = 64 * 16 * 18 // 8
    first, second = (moved(ops_of(row), activation_memory_kib=1, weight_memory_kib=0) for row in (few, heavy))
    assert (first.dram_weights[0], first.dram_activations[0]) == (256 * 8, 8192 + out)
    assert (second.dram_weights[0], second.dram_activations[0]) == (16384, 8192 * 2 + out)


def test_a_resident_model_never_spills() -> None:
    ops = ops_of(linear(tokens=64, outputs=16, inputs=128), scan())
    assert moved(ops, activation_memory_kib=1, weight_memory_kib=64, state_memory_kib=64).dram.sum() == 0


def test_without_dram_need_and_have_are_named() -> None:
    ops, design = Ops.from_frame(model_trace(BI_MAMBA).ops), load_design("up5k")
    result = fit(place(ops, design), design)
    assert not result.feasible
    weights = (BINARY_WEIGHTS + SCALES + HEAD + VECTOR_WEIGHTS) / 1024
    assert result.reason.startswith(
        f"up5k has no dram: weights need {weights:.1f} KiB, weight_memory_kib is 104; state"
    )
    assert fit(place(ops, load_design("edge-28nm")), load_design("edge-28nm")).feasible


ROWS = st.lists(
    st.one_of(
        st.builds(
            linear, tokens=st.integers(1, 60), outputs=st.integers(1, 200), inputs=st.integers(1, 300),
            planes=st.sampled_from([1, 2, 8]), layer=st.sampled_from([-1, 0, 3]),
        ),
        st.builds(scan, tokens=st.integers(1, 60), heads=st.integers(1, 40)),
    ),
    min_size=1, max_size=4,
)  # fmt: skip
KIB = st.integers(0, 24)
MEMORIES = ("weight_memory_kib", "activation_memory_kib", "state_memory_kib")


@settings(deadline=None)
@given(rows=ROWS, sizes=st.tuples(KIB, KIB, KIB), more=st.tuples(KIB, KIB, KIB))
def test_compulsory_traffic_and_monotone_in_memory(
    rows: list, sizes: tuple[int, int, int], more: tuple[int, int, int]
) -> None:
    ops = ops_of(*rows)
    small = moved(ops, **dict(zip(MEMORIES, sizes, strict=True)))
    large = moved(ops, **{name: a + b for name, a, b in zip(MEMORIES, sizes, more, strict=True)})
    huge = moved(ops, **dict.fromkeys(MEMORIES, 1 << 20))
    assert huge.dram.sum() == 0
    assert large.dram.sum() <= small.dram.sum()
    placement = place(ops, array(**dict(zip(MEMORIES, sizes, strict=True))))
    compulsory = max(0, placement.weight_need - sizes[0] * 1024) + max(0, placement.state_need - sizes[2] * 1024)
    assert small.dram.sum() >= compulsory
    for each in (small.dram_weights, small.dram_state, small.dram_activations, small.sram):
        assert (np.asarray(each) >= 0).all()
    assert small.sram.sum() >= (ops.weight_bytes + ops.input_bytes + ops.output_bytes).sum()


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("name", ["bi-mamba-780m", "mamba-130m", "fbi-llm-130m"])
def test_streamed_designs_move_at_least_the_compulsory_bytes(name: str, phase: str) -> None:
    ops = Ops.from_frame(model_trace(name, phase, 16).ops)
    bytes_moved = moved(ops, **dict.fromkeys(MEMORIES, 0))
    assert (bytes_moved.dram_weights >= ops.weight_bytes).all()
    assert (bytes_moved.dram_state == ops.state_read_bytes + ops.state_write_bytes).all()


def test_a_design_says_where_head_and_state_live() -> None:
    """Weights: scan 12 B, head 1,024 B, linear 64 B; scan state 128 B. Smallest first, the head would not stay."""
    head = linear(outputs=1024, inputs=8, layer=-1, name="lm_head")
    ops = ops_of(scan(), linear(outputs=64, inputs=8), head)
    assert place(ops, array(weight_memory_kib=1)).weights == {"vector", "linear"}
    kept = array(weight_memory_kib=1, head={"at": "on_chip"})
    assert place(ops, kept).weights == {"head"}
    assert list(traffic(ops, kept, place(ops, kept)).dram_weights) == [12, 64, 0]
    assert list(moved(ops, head={"at": "streamed"}).dram_weights) == [0, 0, 1024]
    assert moved(ops).dram_state.sum() == 0
    assert moved(ops, state={"scan": {"at": "spilled"}}).dram_state.sum() == 2 * 128
    assert place(ops, array(state={"attention": {"at": "spilled"}})).complete, "there is no KV cache to spill"
    assert not place(ops, array(state={"scan": {"at": "spilled"}})).complete


def test_what_must_stay_and_does_not_fit_is_refused_with_need_and_have() -> None:
    ops = Ops.from_frame(model_trace(BI_MAMBA).ops)
    both = {"scan": {"at": "on_chip"}, "conv1d": {"at": "on_chip", "bits": 16}}
    design = OneBitDesign.model_validate(load_design("edge-28nm").model_dump() | {"state": both})
    own = ops.in_formats_of(design)
    assert fit(place(own, design), design).reason == (
        "edge-28nm asks for more than fits on chip: "
        "states of scan and conv1d need 83936.0 KiB, state_memory_kib is 1024"
    )
    head = OneBitDesign.model_validate(load_design("edge-28nm").model_dump() | {"head": {"at": "on_chip", "bits": 1}})
    need = (32000 * 2560 // 8 + 32000 * 2) / 1024
    assert fit(place(ops.in_formats_of(head), head), head).reason == (
        f"edge-28nm asks for more than fits on chip: embedding and head need {need:.1f} KiB, weight_memory_kib is 512"
    )
    with pytest.raises(ValueError, match="asks for more than fits on chip"):
        cost(model_trace(BI_MAMBA), [design])


@settings(deadline=None)
@given(rows=ROWS, kib=KIB, bits=st.sampled_from([(8, 16), (8, 32), (16, 32)]))
def test_narrower_state_and_state_on_chip_never_move_more(rows: list, kib: int, bits: tuple[int, int]) -> None:
    ops = ops_of(*rows)

    def costs(at: str, width: int) -> Traffic:
        design = array(state_memory_kib=kib, state={"scan": {"at": at, "bits": width}})
        own = ops.in_formats_of(design)
        return traffic(own, design, place(own, design))

    for at in ("auto", "spilled"):
        narrow, wide = (costs(at, width) for width in bits)
        assert narrow.dram.sum() <= wide.dram.sum()
        assert narrow.sram.sum() <= wide.sram.sum()
    assert costs("auto", bits[0]).dram.sum() <= costs("spilled", bits[0]).dram.sum()


def large(name: str) -> OneBitDesign:
    """A preset whose activations always fit."""
    return OneBitDesign.model_validate(load_design(name).model_dump() | {"activation_memory_kib": 1 << 20})


@pytest.mark.parametrize("batch", [1, 4, 64, 1024])
def test_over_the_batch_weights_are_shared_and_state_is_not(batch: int) -> None:
    design, ops = large("edge-28nm"), Ops.from_frame(model_trace(BI_MAMBA, batch=batch).ops)
    bytes_moved = traffic(ops, design, place(ops, design))
    embedding = ops.is_kind("embedding")
    assert bytes_moved.dram_weights[~embedding].sum() == BINARY_WEIGHTS + SCALES + HEAD + VECTOR_WEIGHTS
    assert bytes_moved.dram_weights[embedding].sum() == batch * 2562
    assert bytes_moved.dram_state.sum() == batch * (SCAN_STATE + CONV_STATE)
    assert bytes_moved.dram_activations.sum() == 0


def test_state_that_no_longer_fits_is_spilled() -> None:
    """98,304 KiB hold 82.3 MiB of one sequence, and of two the convolution's."""
    design = load_design("datacenter-7nm")
    two = Ops.from_frame(model_trace(BI_MAMBA, batch=2).ops)
    placement = place(two, design)
    assert placement.states == {"conv1d", "attention"}
    assert traffic(two, design, placement).dram_state.sum() == 2 * SCAN_STATE


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("context", [0, 1, 511, 2047])
def test_fbi_llm_decode_moves_its_kv_cache_once(context: int, batch: int) -> None:
    """FBI-LLM-1.3B, 24 layers of 2048 channels, 16 bit: keys and values of all positions read, of one written."""
    ops, design = Ops.from_frame(model_trace("fbi-llm-1.3b", "decode", context, batch).ops), load_design("edge-28nm")
    placement = place(ops, design)
    attention = ops.is_kind("attention")
    read, written = batch * 24 * (context + 1) * 2 * 2048 * 2, batch * 24 * 2 * 2048 * 2
    bytes_moved = traffic(ops, design, placement)
    if "attention" not in placement.states:
        assert bytes_moved.dram_state[attention].sum() == bytes_moved.dram_state.sum() == read + written
    assert ("attention" in placement.states) == (read <= 1024 * 1024)
    assert bytes_moved.state_reads[attention].sum() == read + written * ("attention" not in placement.states)


@pytest.mark.parametrize("batch", [1, 5])
def test_fbi_llm_prefill_moves_its_kv_cache_once_and_reads_it_for_every_tile_of_a_sequence(batch: int) -> None:
    """64 tokens are 16 tiles of 4 rows; a sequence's tokens look on its own cache and on no other."""
    ops, design = Ops.from_frame(model_trace("fbi-llm-1.3b", "prefill", 64, batch).ops), load_design("edge-28nm")
    attention, cache = ops.is_kind("attention"), batch * 24 * 64 * 2 * 2048 * 2
    bytes_moved = traffic(ops, design, place(ops, design))
    assert bytes_moved.dram_state[attention].sum() == 2 * cache
    assert bytes_moved.state_reads[attention].sum() == 16 * cache + cache


def test_fbi_llm_kv_traffic_grows_linearly_with_the_context() -> None:
    design = load_design("edge-28nm")
    moved_at = []
    for context in (1000, 2000, 3000):
        ops = Ops.from_frame(model_trace("fbi-llm-7b", "decode", context).ops)
        moved_at.append(int(traffic(ops, design, place(ops, design)).dram_state.sum()))
    assert moved_at[1] - moved_at[0] == moved_at[2] - moved_at[1] == 1000 * 32 * 2 * 4096 * 2


@pytest.mark.parametrize(
    ("name", "binary", "head", "state", "rest"),
    # MB a token by hand from the published shapes, all that is not binary in 16 bit: planes; 2 · 32000 · d_model;
    # 2 · 2 · layers · d_inner · 128; scales, norms, convolution, A, D and dt bias.
    [
        ("bi-mamba-780m", 87.7, 98.3, 75.5, 0.88 + 2.06),
        ("bi-mamba-1.3b", 154.9, 131.1, 100.7, 1.18 + 2.70),
        ("bi-mamba-2.7b", 321.5, 163.8, 167.8, 1.97 + 4.46),
    ],
)
def test_with_a_16_bit_head_a_half_or_less_of_the_traffic_is_binary_weights(
    name: str, binary: float, head: float, state: float, rest: float
) -> None:
    axes = {"head": {"bits": 16}, "state": {"scan": {"at": "spilled"}}}
    design = OneBitDesign.model_validate(load_design("edge-28nm").model_dump() | axes)
    ops = Ops.from_frame(model_trace(name).ops).in_formats_of(design)
    bytes_moved = traffic(ops, design, place(ops, design))
    counted = ~ops.is_kind("conv1d", "embedding")
    conv = bytes_moved.dram_weights[ops.is_kind("conv1d")].sum()
    total = bytes_moved.dram[counted].sum() + conv - 2 * 32000  # the convolution's state and row scales are ours
    assert total / 1e6 == pytest.approx(binary + head + state + rest, abs=0.15)
    assert 0.33 <= binary * 1e6 / total < 0.495
