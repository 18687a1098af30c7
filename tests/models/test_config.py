"""models/config.py: derived dimensions, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xnorscan.models.config import ModelConfig

MAMBA2 = ModelConfig(
    name="it", family="mamba2", binarized=True, d_model=2560, layers=64, vocab_size=32000,
    expand=2, d_state=128, d_conv=4, headdim=64, ngroups=1,
)  # fmt: skip
MAMBA1 = ModelConfig(
    name="it", family="mamba1", binarized=False, d_model=2560, layers=64, vocab_size=50280,
    expand=2, d_state=16, d_conv=4, dt_rank=160,
)  # fmt: skip
LLAMA = ModelConfig(
    name="it", family="llama", binarized=True, d_model=4096, layers=32, vocab_size=32000,
    tie_embeddings=False, heads=32, ffn=11008,
)  # fmt: skip


def test_bi_mamba_2_7b_has_the_published_dimensions() -> None:
    """in_proj 10576 × 2560, convolution over 5376 channels, 80 heads (state-spaces/mamba)."""
    assert (MAMBA2.d_inner, MAMBA2.nheads, MAMBA2.conv_dim, MAMBA2.d_in_proj) == (5120, 80, 5376, 10576)


def test_mamba_2_8b_has_the_published_dimensions() -> None:
    assert (MAMBA1.d_inner, MAMBA1.conv_dim, MAMBA1.d_in_proj) == (5120, 5120, 10240)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (MAMBA2, {"layers": 0}, "it: layers is 0, it must be positive"),
        (MAMBA2, {"d_state": -8}, "it: d_state is -8, it must be positive"),
        (MAMBA1, {"dt_rank": 0}, "it: dt_rank is 0, it must be positive"),
        (LLAMA, {"ffn": 0}, "it: ffn is 0, it must be positive"),
        (MAMBA2, {"headdim": 96}, r"it: d_inner is 5120, it must be a multiple of headdim \(96\)"),
        (MAMBA2, {"ngroups": 3}, r"it: nheads is 80, it must be a multiple of ngroups \(3\)"),
        (LLAMA, {"heads": 31}, r"it: d_model is 4096, it must be a multiple of heads \(31\)"),
        (MAMBA2, {"layers": 1.5}, "it: layers is 1.5, it must be a whole number"),
        *((MAMBA2, {"norm_eps": eps}, "it: norm_eps is .*, it must be a number from 0 to below 1")
          for eps in (-1e-5, 1.5, float("nan"), "1e-5")),
    ],
)  # fmt: skip
def test_refuses(config: ModelConfig, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(config, **changes)
