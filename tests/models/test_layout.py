"""The layout against hand-written lists of every dialect, and against the published parameter counts."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

from oracles.checkpoints import BI_MAMBA, DIALECTS, FBI_LLM, MAMBA2
from xnorscan.models.layout import embedding_name, layout, match, published_name
from xnorscan.models.published import MODELS, get_config, parameter_counts


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_published_name_is_matched(dialect: str) -> None:
    config, shapes = DIALECTS[dialect]
    names = match(config, shapes, "here")
    assert sorted(names.values()) == sorted(shapes)
    for ours, theirs in names.items():
        assert theirs == "lm_head.weight" or theirs.split(".", 1)[1].replace("embeddings.", "embedding.") == ours


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_tied_head_may_be_left_out_and_only_that(dialect: str) -> None:
    config, shapes = DIALECTS[dialect]
    without = {name: shape for name, shape in shapes.items() if name != "lm_head.weight"}
    if config.tie_embeddings:
        assert sorted(match(config, without, "here").values()) == sorted(without)
    else:
        with pytest.raises(ValueError, match=r"lm_head\.weight is missing"):
            match(config, without, "here")


def test_rotary_frequencies_are_ignored() -> None:
    shapes = DIALECTS["fbi-llm"][1] | {"model.layers.0.self_attn.rotary_emb.inv_freq": (5,)}
    assert "model.layers.0.self_attn.rotary_emb.inv_freq" not in match(FBI_LLM, shapes, "here").values()


def test_binarized_layers_stand_apart() -> None:
    assert dict(layout(BI_MAMBA).linears) == {
        f"layers.{i}.mixer.{name}": shape
        for i in range(2)
        for name, shape in (("in_proj", (174, 40)), ("out_proj", (40, 80)))
    }
    assert "layers.0.mixer.in_proj.weight" not in layout(BI_MAMBA).tensors
    assert not layout(MAMBA2).linears
    assert layout(MAMBA2).tensors["layers.0.mixer.in_proj.weight"] == (174, 40)


def test_published_names_of_2_7b() -> None:
    """Shapes of Bi-Mamba 2.7B, as Bi-Mamba@349e69f ``name_mamba_2.7b.json`` has them for the same dimensions."""
    latents = layout(get_config("bi-mamba-2.7b")).latents
    assert latents["layers.63.mixer.in_proj.weight"] == (10576, 2560)
    assert latents["layers.63.mixer.in_proj.wscale"] == (1, 2560)
    assert latents["layers.63.mixer.out_proj.weight"] == (2560, 5120)
    assert latents["layers.63.mixer.out_proj.wbias"] == (1, 5120)
    assert latents["layers.63.mixer.conv1d.weight"] == (5376, 1, 4)
    assert latents["layers.63.mixer.dt_bias"] == (80,)
    assert latents["layers.63.mixer.norm.weight"] == (5120,)
    assert latents["embedding.weight"] == (32000, 2560)
    assert len(latents) == 64 * 13 + 2


@pytest.mark.parametrize("name", MODELS)
def test_the_layout_has_the_parameters_that_are_counted(name: str) -> None:
    config = get_config(name)
    counts = parameter_counts(config)
    parts = layout(config)
    assert sum(prod(shape) for shape in parts.linears.values()) == counts.binarized
    assert sum(prod(shape) for shape in parts.latents.values()) == counts.total + counts.scales


def test_names() -> None:
    assert embedding_name(FBI_LLM) == "embed_tokens.weight"
    assert embedding_name(BI_MAMBA) == "embedding.weight"
    assert published_name(FBI_LLM, "norm.weight") == "model.norm.weight"
    assert published_name(FBI_LLM, "lm_head.weight") == "lm_head.weight"
    assert published_name(BI_MAMBA, "embedding.weight") == "backbone.embedding.weight"
    hf = published_name(BI_MAMBA, "embedding.weight", {"backbone.embeddings.weight"})
    assert hf == "backbone.embeddings.weight"


SHAPES = DIALECTS["bi-mamba"][1]
ALPHA = "backbone.layers.1.mixer.out_proj.wscale"


@pytest.mark.parametrize(
    ("config", "shapes", "message"),
    [
        (BI_MAMBA, {k: v for k, v in SHAPES.items() if k != ALPHA}, f"{ALPHA} is missing, made-bi-mamba needs it$"),
        (
            BI_MAMBA,
            {("model" if k == ALPHA else k): v for k, v in SHAPES.items()},
            f"{ALPHA} is missing, made-bi-mamba needs it; model is there and not known",
        ),
        (BI_MAMBA, SHAPES | {"extra": (1,)}, r"extra is not part of made-bi-mamba \(2 layers\)"),
        (BI_MAMBA, SHAPES | {ALPHA: (80,)}, rf"{ALPHA} is \[80\], made-bi-mamba needs \[1, 80\]"),
        (
            BI_MAMBA,
            SHAPES | {"lm_head.weight": (18, 40)},
            r"lm_head.weight is \[18, 40\], made-bi-mamba needs \[19, 40",
        ),
        (BI_MAMBA, SHAPES | {"backbone.embeddings.weight": (19, 40)}, "backbone.embedding.weight is not part of"),
        (replace(BI_MAMBA, layers=1), SHAPES, r"layers.1.norm.weight \(and 12 more\) is not part of .* \(1 layers"),
        (replace(BI_MAMBA, layers=3), SHAPES, r"layers.2.mixer.in_proj.weight \(and 12 more\) is missing"),
        (replace(BI_MAMBA, layers=10**12), SHAPES, "29 tensors cannot be the 1000000000000 layers of made-bi-mamba"),
        (
            MAMBA2,
            SHAPES,
            r"wscale \(and 7 more\) is not part of made-mamba2 \(2 layers, whose linears are not binarized",
        ),
        (BI_MAMBA, DIALECTS["mamba2"][1], r"in_proj.wscale \(and 7 more\) is missing, made-bi-mamba needs it"),
    ],
)
def test_what_does_not_match_is_named(config: object, shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=f"^here: .*{message}"):
        match(config, shapes, "here")  # type: ignore[arg-type]  # parametrize loses the type
