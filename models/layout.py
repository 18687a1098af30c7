"""Names and shapes of a model's tensors: ours, and those of the published checkpoints.

A name of ours is a published one without its ``backbone.`` or ``model.`` prefix. Three dialects are known:

========  ==========================================  =================================================
dialect   checkpoints                                 names
========  ==========================================  =================================================
mamba     state-spaces Mamba and Mamba-2, Bi-Mamba    ``backbone.embedding.weight``, ``backbone.layers.…``
mamba-hf  Hugging Face Mamba and Mamba-2              the same, but ``backbone.embeddings.weight``
llama     FBI-LLM                                     ``model.embed_tokens.weight``, ``model.layers.…``
========  ==========================================  =================================================

Sources: Tangshengku/Bi-Mamba@50618578 ``mamba_ssm/modules/bimamba2.py``; LiqunMa/FBI-LLM@ec98ddd2
``qat/learnable_binarizer.py``; state-spaces/mamba@e9594ce1. The FBI-LLM names are derived from that code: no index of
a published FBI-LLM checkpoint could be read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .config import ModelConfig
from .linears import layer_linears

Shape = tuple[int, ...]
IGNORED_SUFFIXES = (".rotary_emb.inv_freq",)
"""Tensors that old checkpoints hold although they follow from the dimensions."""

HEAD = "lm_head.weight"
_HF_EMBEDDING = "backbone.embeddings.weight"


@dataclass(frozen=True)
class Layout:
    """What a model consists of, under our names.

    ``linears``: binarized layers, name → (outputs, inputs). ``tensors``: everything else, name → shape, a linear that
    is not binarized included (``layers.0.mixer.x_proj.weight``). A tied head has no entry.
    """

    linears: Mapping[str, tuple[int, int]]
    tensors: Mapping[str, Shape]

    @property
    def latents(self) -> dict[str, Shape]:
        """Every tensor of a checkpoint that is not packed yet: a binarized layer is weight, wscale (α), wbias (β)."""
        shapes: dict[str, Shape] = {}
        for name, (outputs, inputs) in self.linears.items():
            shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.wscale": (1, inputs), f"{name}.wbias": (1, inputs)}
        return shapes | dict(self.tensors)


def layout(config: ModelConfig) -> Layout:
    """The layout of ``config``, in the order in which a token meets the tensors."""
    linears: dict[str, tuple[int, int]] = {}
    tensors: dict[str, Shape] = {embedding_name(config): (config.vocab_size, config.d_model)}
    for layer in (f"layers.{i}" for i in range(config.layers)):
        for linear in layer_linears(config):
            name = f"{layer}.{_MODULES.get(linear.name, 'mixer')}.{linear.name}"
            if linear.binarized:
                linears[name] = (linear.outputs, linear.inputs)
            else:
                tensors[f"{name}.weight"] = (linear.outputs, linear.inputs)
        tensors |= {f"{layer}.{name}": shape for name, shape in _VECTORS[config.family](config).items()}
    tensors["norm.weight" if config.family == "llama" else "norm_f.weight"] = (config.d_model,)
    if not config.tie_embeddings:
        tensors[HEAD] = (config.vocab_size, config.d_model)
    return Layout(linears, tensors)


def embedding_name(config: ModelConfig) -> str:
    """Our name of the embedding table [vocabulary, d_model]."""
    return "embed_tokens.weight" if config.family == "llama" else "embedding.weight"


def published_name(config: ModelConfig, name: str, names: Collection[str] = ()) -> str:
    """The name that tensor ``name`` of ours has in a checkpoint that holds ``names`` (which tell the dialect)."""
    if name == HEAD:
        return HEAD
    if config.family == "llama":
        return f"model.{name}"
    if name == "embedding.weight" and _HF_EMBEDDING in names:
        return _HF_EMBEDDING
    return f"backbone.{name}"


def match(config: ModelConfig, shapes: Mapping[str, Shape], where: str) -> dict[str, str]:
    """Hold a checkpoint's ``shapes`` against the layout of ``config``: our name → the checkpoint's name.

    The result covers ``layout(config).latents``, and ``lm_head.weight`` where a tied model's checkpoint repeats it.
    Ignored tensors are passed over. Raises ``ValueError``, with ``where`` in front, at the first tensor that is
    missing, not part of the model, or misshapen.
    """
    if config.layers > len(shapes):
        raise ValueError(f"{where}: {len(shapes)} tensors cannot be the {config.layers} layers of {config.name}")
    expected = layout(config).latents
    if config.tie_embeddings and HEAD in shapes:
        expected[HEAD] = (config.vocab_size, config.d_model)
    wanted = {ours: published_name(config, ours, shapes) for ours in expected}
    known = set(wanted.values())
    missing = [name for name in wanted.values() if name not in shapes]
    extra = [name for name in shapes if name not in known and not name.endswith(IGNORED_SUFFIXES)]
    if missing:
        hint = f"; {extra[0]} is there and not known" if extra else ""
        raise ValueError(f"{where}: {_some(missing)} missing, {config.name} needs it{hint}")
    if extra:
        linears = "" if config.binarized else ", whose linears are not binarized"
        raise ValueError(f"{where}: {_some(extra)} not part of {config.name} ({config.layers} layers{linears})")
    for ours, shape in expected.items():
        if tuple(shapes[wanted[ours]]) != shape:
            found = list(shapes[wanted[ours]])
            raise ValueError(f"{where}: {wanted[ours]} is {found}, {config.name} needs {list(shape)}")
    return wanted


def _some(names: list[str]) -> str:
    """The first of ``names`` and how many more, as a subject with its verb."""
    return f"{names[0]} is" if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more) is"


_MODULES = dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), "self_attn") | dict.fromkeys(
    ("gate_proj", "up_proj", "down_proj"), "mlp"
)
"""The module of a layer that holds a linear, where that is not ``mixer``."""


def _mamba1_vectors(c: ModelConfig) -> dict[str, Shape]:
    """What one Mamba-1 layer has beside its linears."""
    return {
        "norm.weight": (c.d_model,),
        "mixer.conv1d.weight": (c.d_inner, 1, c.d_conv),
        "mixer.conv1d.bias": (c.d_inner,),
        "mixer.dt_proj.bias": (c.d_inner,),
        "mixer.A_log": (c.d_inner, c.d_state),
        "mixer.D": (c.d_inner,),
    }


def _mamba2_vectors(c: ModelConfig) -> dict[str, Shape]:
    """What one Mamba-2 layer has beside its linears."""
    return {
        "norm.weight": (c.d_model,),
        "mixer.conv1d.weight": (c.conv_dim, 1, c.d_conv),
        "mixer.conv1d.bias": (c.conv_dim,),
        "mixer.dt_bias": (c.nheads,),
        "mixer.A_log": (c.nheads,),
        "mixer.D": (c.nheads,),
        "mixer.norm.weight": (c.d_inner,),
    }


def _llama_vectors(c: ModelConfig) -> dict[str, Shape]:
    """What one LLaMA layer has beside its linears."""
    return {"input_layernorm.weight": (c.d_model,), "post_attention_layernorm.weight": (c.d_model,)}


_VECTORS = {"mamba1": _mamba1_vectors, "mamba2": _mamba2_vectors, "llama": _llama_vectors}
