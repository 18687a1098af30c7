"""The published sizes against the figures that their authors' files and papers give.

Figures marked [computed] were worked out from the published shapes independently of the code under test.
"""

from __future__ import annotations

import pytest

from xnorscan.models.published import MODELS, PUBLISHED, SHIPPED, get_config, parameter_counts

GIB = 2**30

MAMBA2_SIZES = {  # name: d_model, layers, d_inner, heads, rows of in_proj, conv channels, parameters
    "mamba2-130m": (768, 24, 1536, 24, 3352, 1792, 128_989_632),
    "mamba2-370m": (1024, 48, 2048, 32, 4384, 2304, 368_346_624),
    "mamba2-780m": (1536, 48, 3072, 48, 6448, 3328, 780_161_280),
    "mamba2-1.3b": (2048, 48, 4096, 64, 8512, 4352, 1_343_757_312),
    "mamba2-2.7b": (2560, 64, 5120, 80, 10576, 5376, 2_702_599_680),
}
MAMBA1_SIZES = {  # name: d_model, layers, d_inner, dt_rank, rows of in_proj, parameters, bytes of the FP32 file on HF
    "mamba-130m": (768, 24, 1536, 48, 3072, 129_135_360, 516_618_642),
    "mamba-370m": (1024, 48, 2048, 64, 4096, 371_516_416, 1_486_219_538),
    "mamba-790m": (1536, 48, 3072, 96, 6144, 793_204_224, 3_172_970_770),
    "mamba-1.4b": (2048, 48, 4096, 128, 8192, 1_372_178_432, 5_488_869_150),
    "mamba-2.8b": (2560, 64, 5120, 160, 10240, 2_768_345_600, 11_073_592_474),
}
MAMBA2_FILES = {  # bytes of the FP16 pickles on HF, which hold a few small tensors in FP32
    "mamba2-130m": 258_059_314,
    "mamba2-370m": 736_859_474,
    "mamba2-1.3b": 2_687_683_922,
    "mamba2-2.7b": 5_405_424_282,
}


def test_every_published_model_is_there_under_its_lower_case_name() -> None:
    bi_mamba = {f"bi-mamba-{size}{vocab}" for size in ("780m", "1.3b", "2.7b") for vocab in ("", "-v50288")}
    fbi_llm = {f"fbi-llm-{size}" for size in ("130m", "1.3b", "7b")}
    assert set(PUBLISHED) == bi_mamba | fbi_llm | set(MAMBA1_SIZES) | set(MAMBA2_SIZES)
    assert set(MODELS) == set(PUBLISHED) | set(SHIPPED)
    assert all(name == config.name == name.lower() for name, config in MODELS.items())


@pytest.mark.parametrize("name", MAMBA2_SIZES)
def test_mamba2_dimensions_and_parameters(name: str) -> None:
    c = get_config(name)
    sizes = (c.d_model, c.layers, c.d_inner, c.nheads, c.d_in_proj, c.conv_dim, parameter_counts(c).total)
    assert sizes == MAMBA2_SIZES[name]
    assert (c.d_state, c.d_conv, c.expand, c.headdim, c.ngroups) == (128, 4, 2, 64, 1)
    assert (c.vocab_size, c.tie_embeddings, c.binarized, c.norm_eps) == (50288, True, False, 1e-5)


@pytest.mark.parametrize("name", MAMBA1_SIZES)
def test_mamba1_dimensions_and_parameters(name: str) -> None:
    c = get_config(name)
    sizes = (c.d_model, c.layers, c.d_inner, c.dt_rank, c.d_in_proj, parameter_counts(c).total)
    assert sizes == MAMBA1_SIZES[name][:-1]
    assert (c.d_state, c.d_conv, c.expand, c.conv_dim) == (16, 4, 2, c.d_inner)
    assert (c.vocab_size, c.tie_embeddings, c.binarized) == (50280, True, False)


@pytest.mark.parametrize("name", MAMBA1_SIZES)
def test_mamba1_parameters_fill_the_published_file(name: str) -> None:
    """A pickle adds a directory of a few hundred bytes per tensor, never takes any away."""
    overhead = MAMBA1_SIZES[name][-1] - 4 * parameter_counts(get_config(name)).total
    assert 0 < overhead < 1000 * 10 * get_config(name).layers


@pytest.mark.parametrize("name", MAMBA2_FILES)
def test_mamba2_parameters_fill_the_published_file(name: str) -> None:
    config = get_config(name)
    overhead = MAMBA2_FILES[name] - parameter_counts(config).fp16_bytes
    assert 0 < overhead < 1000 * 9 * config.layers + 2 * 3 * config.nheads * config.layers


@pytest.mark.parametrize(
    ("size", "d_model", "layers", "binarized", "share", "total_m", "total_original", "fp16", "one_bit", "latents_gb"),
    [  # [computed]; fp16 and one-bit GiB for the vocabularies of 32000 and 50288, where the paper's 5.03 → 0.55 is
        ("780m", 1536, 48, 701_890_560, 93.3, 752.07, 780_161_280, (1.401, 1.453), (0.176, 0.228), 3.010),
        ("1.3b", 2048, 48, 1_239_416_832, 94.9, 1306.30, 1_343_757_312, (2.433, 2.503), (0.270, 0.340), 5.228),
        ("2.7b", 2560, 64, 2_571_632_640, 96.8, 2655.78, 2_702_599_680, (4.947, 5.034), (0.458, 0.545), 10.627),
    ],
)
def test_bi_mamba_with_both_vocabularies(
    size: str, d_model: int, layers: int, binarized: int, share: float, total_m: float, total_original: int,
    fp16: tuple[float, float], one_bit: tuple[float, float], latents_gb: float,
) -> None:  # fmt: skip
    released, original = (get_config(f"bi-mamba-{size}{suffix}") for suffix in ("", "-v50288"))
    assert (released.vocab_size, original.vocab_size) == (32000, 50288)
    for config in (released, original):
        assert (config.d_model, config.layers, config.binarized) == (d_model, layers, True)
        assert parameter_counts(config).binarized == binarized
    counts, counts_original = parameter_counts(released), parameter_counts(original)
    assert round(100 * counts.binarized / counts.total, 1) == share
    assert round(counts.total / 1e6, 2) == total_m
    assert counts_original.total == total_original == parameter_counts(get_config(f"mamba2-{size}")).total
    assert tuple(round(c.fp16_bytes / GIB, 3) for c in (counts, counts_original)) == fp16
    assert tuple(round(c.one_bit_bytes / GIB, 3) for c in (counts, counts_original)) == one_bit
    assert round(counts.latent_bytes / 1e9, 3) == latents_gb


@pytest.mark.parametrize(
    ("size", "hidden", "ffn", "layers", "heads", "linear", "scales", "total", "fp16", "one_bit", "saving", "latents"),
    [  # [computed]; the savings are those of the paper's storage table (59.3, 84.7, 90.1 %)
        ("130m", 768, 2048, 12, 12, 84_934_656, 159_744, 134_105_856, 0.250, 0.1018, 59.3, 0.5371),
        ("1.3b", 2048, 5632, 24, 32, 1_233_125_376, 860_160, 1_364_297_728, 2.541, 0.3895, 84.7, 5.461),
        ("7b", 4096, 11008, 32, 32, 6_476_005_376, 2_277_376, 6_738_415_616, 12.551, 1.2469, 90.07, 26.96),
    ],
)
def test_fbi_llm(
    size: str, hidden: int, ffn: int, layers: int, heads: int, linear: int, scales: int, total: int,
    fp16: float, one_bit: float, saving: float, latents: float,
) -> None:  # fmt: skip
    c = get_config(f"fbi-llm-{size}")
    assert (c.d_model, c.ffn, c.layers, c.heads, c.vocab_size, c.tie_embeddings) == (
        hidden, ffn, layers, heads, 32000, False,
    )  # fmt: skip
    counts = parameter_counts(c)
    assert (counts.binarized, counts.scales, counts.total, counts.linear) == (linear, scales, total, 0)
    assert counts.head == counts.embedding == 32000 * hidden
    assert round(counts.fp16_bytes / GIB, 3) == fp16
    assert round(counts.one_bit_bytes / GIB, 4) == one_bit
    decimals = 2 if size == "7b" else 1
    assert round(100 * (1 - counts.one_bit_bytes / counts.fp16_bytes), decimals) == saving
    assert counts.latent_bytes / 1e9 == pytest.approx(latents, rel=2e-4)  # the files on HF: 537 MB, 5.46 GB, 26.96 GB


@pytest.mark.parametrize(
    ("name", "scales_mb", "head_mb", "other_mb", "binary_mb"),
    [  # bytes per decoded token in FP16 beside the binary weights [computed]
        ("bi-mamba-780m", 0.88, 98.3, 2.06, 87.7),
        ("bi-mamba-1.3b", 1.18, 131.1, 2.70, 154.9),
        ("bi-mamba-2.7b", 1.97, 163.8, 4.46, 321.5),
    ],
)
def test_bi_mamba_split(name: str, scales_mb: float, head_mb: float, other_mb: float, binary_mb: float) -> None:
    counts = parameter_counts(get_config(name))
    assert (counts.head, counts.linear) == (0, 0)
    assert round(2 * counts.scales / 1e6, 2) == scales_mb
    assert round(2 * counts.embedding / 1e6, 1) == head_mb
    assert round(2 * counts.other / 1e6, 2) == other_mb
    assert round(counts.binarized / 8e6, 1) == binary_mb


def test_a_model_that_is_not_binarized_saves_nothing() -> None:
    counts = parameter_counts(get_config("mamba2-130m"))
    assert (counts.binarized, counts.scales) == (0, 0)
    assert counts.one_bit_bytes == counts.fp16_bytes == 2 * counts.total


@pytest.mark.parametrize(("name", "d_model", "layers", "headdim"), [("tiny", 128, 4, 32), ("small", 256, 6, 64)])
def test_shipped_models(name: str, d_model: int, layers: int, headdim: int) -> None:
    c = get_config(name)
    assert (c.family, c.binarized, c.tie_embeddings, c.vocab_size) == ("mamba2", True, True, 256)
    assert (c.d_model, c.layers, c.expand, c.headdim, c.d_state, c.d_conv, c.ngroups) == (
        d_model, layers, 2, headdim, 8, 4, 1,
    )  # fmt: skip


def test_tiny_parameters_counted_by_hand() -> None:
    counts = parameter_counts(get_config("tiny"))
    in_proj, out_proj = (256 + 256 + 8 + 8 + 8) * 128, 128 * 256
    per_layer = 128 + 272 * 4 + 272 + 3 * 8 + 256  # block norm, conv, its bias, A_log + D + dt_bias, gated norm
    assert counts.binarized == 4 * (in_proj + out_proj) == 405_504
    assert counts.scales == 4 * 2 * (128 + 256)
    assert (counts.embedding, counts.head) == (256 * 128, 0)
    assert counts.other == 4 * per_layer + 128


def test_names_are_found_in_any_case() -> None:
    assert get_config("Bi-Mamba-2.7B") is PUBLISHED["bi-mamba-2.7b"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("bimamba-2.7b", "bi-mamba-2.7b"),
        ("fbi-llm-13b", "fbi-llm-1.3b"),
        ("mamba3-130m", "mamba-130m"),
        ("tny", "tiny"),
    ],
)
def test_an_unknown_name_lists_near_ones(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"^no model is named '{name}'; known names near it: .*\b{near}\b"):
        get_config(name)


def test_a_name_like_no_other_lists_all() -> None:
    with pytest.raises(
        ValueError, match=r"^no model is named 'x'; known names: tiny, small, bi-mamba-780m.*mamba2-2\.7b$"
    ):
        get_config("x")
