"""Small checkpoints of every published dialect, their names and shapes written out by hand.

Names: Tangshengku/Bi-Mamba@50618578, state-spaces/mamba@e9594ce1, LiqunMa/FBI-LLM@ec98ddd2. Widths are no multiples of
64, to meet padding bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from xnorscan.models.config import ModelConfig

LAYERS = 2
D, INNER, STATE, VOCAB, FFN = 40, 80, 5, 19, 72
NHEADS, CONV2, IN_PROJ2, RANK = 4, 90, 174, 3

MAMBA1 = ModelConfig(
    name="made-mamba", family="mamba1", binarized=False, d_model=D, layers=LAYERS, vocab_size=VOCAB,
    expand=2, d_state=STATE, d_conv=4, dt_rank=RANK,
)  # fmt: skip
MAMBA2 = ModelConfig(
    name="made-mamba2", family="mamba2", binarized=False, d_model=D, layers=LAYERS, vocab_size=VOCAB,
    expand=2, d_state=STATE, d_conv=4, headdim=20, ngroups=1,
)  # fmt: skip
BI_MAMBA = ModelConfig(
    name="made-bi-mamba", family="mamba2", binarized=True, d_model=D, layers=LAYERS, vocab_size=VOCAB,
    expand=2, d_state=STATE, d_conv=4, headdim=20, ngroups=1,
)  # fmt: skip
FBI_LLM = ModelConfig(
    name="made-fbi-llm", family="llama", binarized=True, d_model=D, layers=LAYERS, vocab_size=VOCAB,
    tie_embeddings=False, heads=4, ffn=FFN,
)  # fmt: skip

_MAMBA1_LAYER = {
    "norm.weight": (D,),
    "mixer.A_log": (INNER, STATE),
    "mixer.D": (INNER,),
    "mixer.in_proj.weight": (2 * INNER, D),
    "mixer.conv1d.weight": (INNER, 1, 4),
    "mixer.conv1d.bias": (INNER,),
    "mixer.x_proj.weight": (RANK + 2 * STATE, INNER),
    "mixer.dt_proj.weight": (INNER, RANK),
    "mixer.dt_proj.bias": (INNER,),
    "mixer.out_proj.weight": (D, INNER),
}
_MAMBA2_LAYER = {
    "norm.weight": (D,),
    "mixer.dt_bias": (NHEADS,),
    "mixer.A_log": (NHEADS,),
    "mixer.D": (NHEADS,),
    "mixer.in_proj.weight": (IN_PROJ2, D),
    "mixer.conv1d.weight": (CONV2, 1, 4),
    "mixer.conv1d.bias": (CONV2,),
    "mixer.norm.weight": (INNER,),
    "mixer.out_proj.weight": (D, INNER),
}
_BI_MAMBA_SCALES = {
    "mixer.in_proj.wscale": (1, D),
    "mixer.in_proj.wbias": (1, D),
    "mixer.out_proj.wscale": (1, INNER),
    "mixer.out_proj.wbias": (1, INNER),
}
_LLAMA_LAYER = {"input_layernorm.weight": (D,), "post_attention_layernorm.weight": (D,)}
for _linear, _rows, _columns in (
    ("self_attn.q_proj", D, D),
    ("self_attn.k_proj", D, D),
    ("self_attn.v_proj", D, D),
    ("self_attn.o_proj", D, D),
    ("mlp.gate_proj", FFN, D),
    ("mlp.up_proj", FFN, D),
    ("mlp.down_proj", D, FFN),
):
    _LLAMA_LAYER |= {
        f"{_linear}.weight": (_rows, _columns),
        f"{_linear}.wscale": (1, _columns),
        f"{_linear}.wbias": (1, _columns),
    }


def _model(prefix: str, table: str, layer: Mapping[str, tuple[int, ...]], final: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}.{table}.weight": (VOCAB, D)}
    for i in range(LAYERS):
        shapes |= {f"{prefix}.layers.{i}.{name}": shape for name, shape in layer.items()}
    return shapes | {f"{prefix}.{final}.weight": (D,), "lm_head.weight": (VOCAB, D)}


DIALECTS: dict[str, tuple[ModelConfig, dict[str, tuple[int, ...]]]] = {
    "mamba": (MAMBA1, _model("backbone", "embedding", _MAMBA1_LAYER, "norm_f")),
    "mamba-hf": (MAMBA1, _model("backbone", "embeddings", _MAMBA1_LAYER, "norm_f")),
    "mamba2": (MAMBA2, _model("backbone", "embedding", _MAMBA2_LAYER, "norm_f")),
    "mamba2-hf": (MAMBA2, _model("backbone", "embeddings", _MAMBA2_LAYER, "norm_f")),
    "bi-mamba": (BI_MAMBA, _model("backbone", "embedding", _MAMBA2_LAYER | _BI_MAMBA_SCALES, "norm_f")),
    "fbi-llm": (FBI_LLM, _model("model", "embed_tokens", _LLAMA_LAYER, "norm")),
}
"""Dialect → configuration, and published name → shape with the head present (the tied ones may leave it out)."""


def made_tensors(dialect: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal float32 tensors of ``dialect`` with some exact zeros of both signs; a tied head equals its embedding."""
    config, shapes = DIALECTS[dialect]
    rng = np.random.default_rng(seed)
    tensors = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    for values in tensors.values():
        values.flat[:: max(7, values.size // 9)] *= np.float32(0)
    if config.tie_embeddings:
        tensors["lm_head.weight"] = tensors[next(iter(shapes))].copy()
    return tensors


def made_checkpoint(path: Path, dialect: str, **changes: np.ndarray | None) -> Path:
    """Write ``made_tensors`` to ``path``, some replaced, added or (``None``) left out, by the safetensors package."""
    tensors = made_tensors(dialect) | changes
    save_file({name: values for name, values in tensors.items() if values is not None}, path)
    return path
