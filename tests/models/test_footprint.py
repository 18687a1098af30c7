"""What a model occupies, against sums by hand, and whether the shipped ones fit the memories they are made for."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from xnorscan.models.config import ModelConfig
from xnorscan.models.footprint import footprint
from xnorscan.models.operations import shape_trace
from xnorscan.models.precision import Precision
from xnorscan.models.published import get_config

UP5K_SPRAM_BITS = 4 * 256 * 1024  # iCE40 UP5K: four blocks of 256 Kbit
ECP5_85_BLOCK_RAM_BITS = 208 * 18 * 1024  # LFE5U-85: 208 blocks of 18 Kbit
LLAMA = ModelConfig(
    name="l", family="llama", binarized=True, d_model=20, layers=2, vocab_size=30, tie_embeddings=False, heads=4, ffn=36
)


def test_tiny_by_hand() -> None:
    """d_model 128, d_inner 256, four layers, conv over 272, in_proj of 536 rows."""
    parts = footprint(get_config("tiny"))
    assert parts.one_bit == 4 * (536 * 128 + 128 * 256) == 405_504
    assert parts.scales == 16 * (4 * 2 * (128 + 256) + 256)
    assert (parts.embedding, parts.head, parts.int8) == (256 * 128 * 8, 0, 0)
    assert parts.other == 16 * (4 * (128 + 272 * 5 + 3 * 8 + 256) + 128)
    assert parts.scan_state == 4 * 256 * 8 * 16
    assert parts.conv_state == 4 * 272 * 3 * 18
    assert parts.kv_cache == 0


def test_tiny_fits_the_spram_of_an_up5k_with_its_state() -> None:
    parts = footprint(get_config("tiny"))
    assert parts.bits == 1_025_920
    assert parts.bits <= UP5K_SPRAM_BITS


def test_small_fits_the_block_ram_of_an_ecp5_85_but_for_its_state() -> None:
    """The int8 table takes the room of the state: with both, 136,000 bits are left over for distributed RAM."""
    parts = footprint(get_config("small"))
    assert parts.weight_bits == 3_405_568
    assert parts.weight_bits + parts.scan_state == 3_798_784
    assert parts.weight_bits + parts.scan_state <= ECP5_85_BLOCK_RAM_BITS
    assert parts.bits - ECP5_85_BLOCK_RAM_BITS == 136_000


@pytest.mark.parametrize(
    ("precision", "bits"), [(Precision(head="binary"), 3_511_104), (Precision(state_bits=8), 3_773_248)]
)
def test_small_fits_an_ecp5_85_whole_with_a_narrower_head_or_state(precision: Precision, bits: int) -> None:
    assert footprint(get_config("small"), precision).bits == bits <= ECP5_85_BLOCK_RAM_BITS


@pytest.mark.parametrize("name", ["tiny", "small", "bi-mamba-2.7b", "mamba-130m", "mamba2-370m"])
def test_a_decode_step_reads_every_weight_and_all_recurrent_state_once(name: str) -> None:
    config = get_config(name)
    parts = footprint(config, sequences=3)
    ops = shape_trace(config, phase="decode", length=0, batch=3).ops
    assert 8 * ops["weight_bytes"].sum() == parts.weight_bits
    assert 8 * ops["state_read_bytes"].sum() == parts.state_bits


def test_a_kv_cache_grows_with_the_context_and_recurrent_state_does_not() -> None:
    assert footprint(LLAMA, context=7, sequences=3).kv_cache == 3 * 7 * 2 * 2 * 20 * 16
    assert footprint(LLAMA).state_bits == 0
    tiny = get_config("tiny")
    assert footprint(tiny, context=1000) == footprint(tiny)


def test_an_untied_head_counts_beside_the_table() -> None:
    tied, untied = (footprint(replace(LLAMA, tie_embeddings=tie)) for tie in (True, False))
    assert (tied.head, untied.head, untied.embedding) == (0, 30 * 20 * 8, 30 * 20 * 8)
    assert untied.scales - tied.scales == 30 * 16


def test_unbinarized_linears_take_eight_planes_and_a_scale_per_row() -> None:
    parts = footprint(get_config("mamba2-130m"))
    assert parts.one_bit == 0
    assert parts.int8 == 8 * 24 * (3352 * 768 + 768 * 1536)
    assert parts.scales == 16 * (24 * (3352 + 768) + 50288)


def test_bytes_round_up_part_by_part() -> None:
    parts = footprint(get_config("tiny"))
    assert parts.parts_in_bytes() == {part: bits / 8 for part, bits in asdict(parts).items()}
    odd = footprint(replace(get_config("tiny"), d_model=3, headdim=1, expand=1, d_state=1, vocab_size=3, layers=1))
    assert odd.parts_in_bytes()["one_bit"] == -(-odd.one_bit // 8) > odd.one_bit / 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequences": 0}, "sequences is 0, it must be at least 1"),
        ({"context": -1}, "context is -1, it must be at least 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        footprint(get_config("tiny"), **arguments)
