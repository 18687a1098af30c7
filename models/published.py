"""The models that xnorscan knows by name: the published sizes as data, their parameters counted.

Sources: Bi-Mamba, Tangshengku/Bi-Mamba@50618578 ``mamba_config/bimamba2_*.json`` and the defaults of
``mamba_ssm/modules/bimamba2.py``; FBI-LLM, LiqunMa/FBI-LLM@ec98ddd2 ``FBI-LLM_configs/*.json``; Mamba and Mamba-2,
``config.json`` of the state-spaces repositories on Hugging Face and the defaults of state-spaces/mamba@e9594ce1.

Bi-Mamba's released configurations have LLaMA's vocabulary of 32000, but its size names (780M, 1.3B, 2.7B) and, as far
as reviews quote it, its storage table (5.03 to 0.55 GB) count Mamba-2's original vocabulary, padded to 50288. Both are
here: ``bi-mamba-2.7b`` and ``bi-mamba-2.7b-v50288``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches

from .config import ModelConfig
from .linears import head_linear, layer_linears


def _mamba2(name: str, d_model: int, layers: int, vocab_size: int, *, binarized: bool) -> ModelConfig:
    return ModelConfig(
        name=name, family="mamba2", binarized=binarized, d_model=d_model, layers=layers, vocab_size=vocab_size,
        expand=2, d_state=128, d_conv=4, headdim=64, ngroups=1,
    )  # fmt: skip


def _mamba1(name: str, d_model: int, layers: int) -> ModelConfig:
    return ModelConfig(
        name=name, family="mamba1", binarized=False, d_model=d_model, layers=layers, vocab_size=50280,
        expand=2, d_state=16, d_conv=4, dt_rank=-(-d_model // 16),
    )  # fmt: skip


def _fbi_llm(name: str, d_model: int, layers: int, heads: int, ffn: int) -> ModelConfig:
    return ModelConfig(
        name=name, family="llama", binarized=True, d_model=d_model, layers=layers, vocab_size=32000,
        tie_embeddings=False, heads=heads, ffn=ffn,
    )  # fmt: skip


def _by_name(*configs: ModelConfig) -> dict[str, ModelConfig]:
    return {config.name: config for config in configs}


_BI_MAMBA = (
    _mamba2("bi-mamba-780m", 1536, 48, 32000, binarized=True),
    _mamba2("bi-mamba-1.3b", 2048, 48, 32000, binarized=True),
    _mamba2("bi-mamba-2.7b", 2560, 64, 32000, binarized=True),
)

PUBLISHED: dict[str, ModelConfig] = _by_name(
    *_BI_MAMBA,
    *(replace(config, name=f"{config.name}-v50288", vocab_size=50288) for config in _BI_MAMBA),
    _fbi_llm("fbi-llm-130m", 768, 12, 12, 2048),
    _fbi_llm("fbi-llm-1.3b", 2048, 24, 32, 5632),
    _fbi_llm("fbi-llm-7b", 4096, 32, 32, 11008),
    _mamba1("mamba-130m", 768, 24),
    _mamba1("mamba-370m", 1024, 48),
    _mamba1("mamba-790m", 1536, 48),
    _mamba1("mamba-1.4b", 2048, 48),
    _mamba1("mamba-2.8b", 2560, 64),
    _mamba2("mamba2-130m", 768, 24, 50288, binarized=False),
    _mamba2("mamba2-370m", 1024, 48, 50288, binarized=False),
    _mamba2("mamba2-780m", 1536, 48, 50288, binarized=False),
    _mamba2("mamba2-1.3b", 2048, 48, 50288, binarized=False),
    _mamba2("mamba2-2.7b", 2560, 64, 50288, binarized=False),
)
"""Published models by name, in lower case."""

_TINY = ModelConfig(
    name="tiny", family="mamba2", binarized=True, d_model=128, layers=4, vocab_size=256,
    expand=2, d_state=8, d_conv=4, headdim=32, ngroups=1,
)  # fmt: skip

MODELS: dict[str, ModelConfig] = {
    **_by_name(_TINY, replace(_TINY, name="small", d_model=256, layers=6, headdim=64)),
    **PUBLISHED,
}
"""Every model known by name: the shipped ones, whose weights come with xnorscan, then the published ones."""

SHIPPED: tuple[str, ...] = ("tiny", "small")
"""Names of the models whose trained weights come with xnorscan: byte-level one-bit Mamba-2."""


def get_config(name: str) -> ModelConfig:
    """The dimensions of the model of this name, in any case.

    Raises ``ValueError`` listing the nearest names where there is none.
    """
    config = MODELS.get(name.lower())
    if config is None:
        near = get_close_matches(name.lower(), MODELS, n=3, cutoff=0.5)
        known = f"known names near it: {', '.join(near)}" if near else f"known names: {', '.join(MODELS)}"
        raise ValueError(f"no model is named {name!r}; {known}")
    return config


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters of a model, by what becomes of them in a one-bit model.

    ``binarized``: one-bit weights. ``linear``: weights of linears inside the layers that stay unbinarized.
    ``embedding``, ``head``: the table and the head, 0 for a head tied to the table. ``other``: norms, convolution,
    A, D, dt bias. ``scales``: α and β, which binarization adds.
    """

    binarized: int
    scales: int
    linear: int
    embedding: int
    head: int
    other: int

    @property
    def total(self) -> int:
        """Parameters of the architecture, as the papers count: without the scales."""
        return self.binarized + self.linear + self.embedding + self.head + self.other

    @property
    def fp16_bytes(self) -> int:
        """Bytes of the same architecture in FP16."""
        return 2 * self.total

    @property
    def one_bit_bytes(self) -> int:
        """Bytes with the binarized weights at one bit, α, β and everything else in FP16, as the papers store them."""
        return -(-self.binarized // 8) + 2 * (self.total - self.binarized + self.scales)

    @property
    def latent_bytes(self) -> int:
        """Bytes of the tensors of a released checkpoint: the FP32 latent weights, α, β and the rest."""
        return 4 * (self.total + self.scales)


def parameter_counts(config: ModelConfig) -> ParameterCounts:
    """Count the parameters of ``config``."""
    linears = layer_linears(config)
    table = head_linear(config).weights
    return ParameterCounts(
        binarized=config.layers * sum(linear.weights for linear in linears if linear.binarized),
        scales=config.layers * sum(2 * linear.inputs for linear in linears if linear.binarized),
        linear=config.layers * sum(linear.weights for linear in linears if not linear.binarized),
        embedding=table,
        head=0 if config.tie_embeddings else table,
        other=config.layers * _other_per_layer(config) + config.d_model,
    )


def _other_per_layer(config: ModelConfig) -> int:
    d, channels = config.d_model, config.d_inner
    convolution = config.conv_dim * (config.d_conv + 1)
    if config.family == "mamba2":  # block norm, conv and bias; A_log, D and dt_bias per head; gated norm
        return d + convolution + 3 * config.nheads + channels
    if config.family == "mamba1":  # block norm, conv and bias; A_log [channels, d_state]; D and dt bias per channel
        return d + convolution + channels * config.d_state + 2 * channels
    return 2 * d  # the norms before attention and before the feed-forward part
