"""Generated models: every parameter drawn from a seed, in the ranges that the published initialisations give."""

from __future__ import annotations

from typing import Literal

import numpy as np

from xnorscan.models.config import ModelConfig
from xnorscan.models.packed import PackedLinear, PackedModel


def tiny_config(family: Literal["mamba1", "mamba2"], *, binarized: bool = True, ngroups: int = 1) -> ModelConfig:
    """A model of two layers whose widths are no multiples of 64, to meet padding lanes; 19 symbols."""
    if family == "mamba1":
        return ModelConfig(
            name="generated", family="mamba1", binarized=binarized, d_model=36, layers=2, vocab_size=19,
            expand=2, d_state=5, d_conv=4, dt_rank=3,
        )  # fmt: skip
    return ModelConfig(
        name="generated", family="mamba2", binarized=binarized, d_model=36, layers=2, vocab_size=19,
        expand=2, d_state=5, d_conv=4, headdim=18, ngroups=ngroups,
    )  # fmt: skip


def pack_plane(signs: np.ndarray) -> np.ndarray:
    """±1 [outputs, inputs] → uint64 [outputs, words], bit i of word w = input 64·w + i, 1 for +1, padding 0."""
    outputs, inputs = signs.shape
    bits = np.zeros((outputs, -(-inputs // 64) * 64), np.uint8)
    bits[:, :inputs] = signs > 0
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def pack_fbi_linear(signs: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> PackedLinear:
    """One plane with coefficient 1: ``signs`` [outputs, inputs], ``alpha`` and ``beta`` [inputs]."""
    return PackedLinear(
        planes=pack_plane(signs)[None],
        inputs=signs.shape[1],
        coefficients=np.ones(1, np.float32),
        pre=alpha.astype(np.float32),
        shift=beta.astype(np.float32),
    )


def random_packed_model(config: ModelConfig, seed: int) -> PackedModel:
    """A packed Mamba or Mamba-2 of ``config``'s dimensions, tensors float32.

    Raises ``ValueError`` for other families.
    """
    if config.family not in ("mamba1", "mamba2"):
        raise ValueError(f"{config.family}: models are generated for mamba1 and mamba2")
    rng = np.random.default_rng(seed)
    linears: dict[str, PackedLinear] = {}
    tensors = {
        "embedding.weight": rng.normal(0, 0.5, (config.vocab_size, config.d_model)),
        "norm_f.weight": rng.uniform(0.5, 1.5, config.d_model),
    }
    if not config.tie_embeddings:
        tensors["lm_head.weight"] = rng.normal(0, 0.5, (config.vocab_size, config.d_model))

    def projection(name: str, outputs: int, inputs: int, binarized: bool) -> None:
        if binarized:
            signs = np.where(rng.random((outputs, inputs)) < 0.5, 1.0, -1.0)
            alpha = rng.normal(0.8, 0.3, inputs) * inputs**-0.5
            linears[name] = pack_fbi_linear(signs, alpha, rng.normal(0, 0.1, inputs) * inputs**-0.5)
        else:
            tensors[f"{name}.weight"] = rng.normal(0, inputs**-0.5, (outputs, inputs))

    channels = config.nheads if config.family == "mamba2" else config.d_inner
    step = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), (config.layers, channels)))
    for i in range(config.layers):
        mixer = f"layers.{i}.mixer"
        dt_bias = step[i] + np.log(-np.expm1(-step[i]))
        projection(f"{mixer}.in_proj", config.d_in_proj, config.d_model, config.binarized)
        projection(f"{mixer}.out_proj", config.d_model, config.d_inner, config.binarized)
        tensors |= {
            f"layers.{i}.norm.weight": rng.uniform(0.5, 1.5, config.d_model),
            f"{mixer}.conv1d.weight": rng.normal(0, 0.5, (config.conv_dim, 1, config.d_conv)),
            f"{mixer}.conv1d.bias": rng.normal(0, 0.1, config.conv_dim),
            f"{mixer}.D": rng.uniform(0.5, 1.5, channels),
        }
        if config.family == "mamba2":
            tensors |= {
                f"{mixer}.A_log": np.log(rng.uniform(1, 16, channels)),
                f"{mixer}.dt_bias": dt_bias,
                f"{mixer}.norm.weight": rng.uniform(0.5, 1.5, config.d_inner),
            }
        else:
            projection(f"{mixer}.x_proj", config.dt_rank + 2 * config.d_state, config.d_inner, binarized=False)
            projection(f"{mixer}.dt_proj", config.d_inner, config.dt_rank, binarized=False)
            tensors |= {
                f"{mixer}.A_log": np.log(np.tile(np.arange(1.0, config.d_state + 1), (channels, 1))),
                f"{mixer}.dt_proj.bias": dt_bias,
            }
    single = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
    return PackedModel(config, linears, single, {"source": f"generated from seed {seed}"})
