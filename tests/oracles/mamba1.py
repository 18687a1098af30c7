"""Mamba-1 in float64: ``selective_scan_ref`` step by step and as an associative scan, the block, the language model.

Symbols: L length, D inner channels, N state size, R rank of dt, d model width. Per channel:

    δ = softplus(delta + delta_bias)
    S_t = exp(δ_t·A)·S_{t−1} + δ_t·B_t·u_t        y_t = Σ_n S_t[n]·C_t[n]        out = (y + D·u)·silu(z)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .conv import causal_conv
from .fbi_linear import dense_weight
from .nonlinear import rmsnorm, silu, softplus

if TYPE_CHECKING:
    from xnorscan.models.config import ModelConfig
    from xnorscan.models.packed import PackedModel

Scan = Callable[..., tuple[np.ndarray, np.ndarray]]


def selective_scan(
    u: np.ndarray,
    delta: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    d: np.ndarray,
    z: np.ndarray,
    delta_bias: np.ndarray,
    state: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """``u``, ``delta``, ``z`` [L, D], ``a`` [D, N] (negative), ``b``, ``c`` [L, N], ``d``, ``delta_bias`` [D],
    ``state`` [D, N] → out [L, D] and the last state.
    """
    step = softplus(delta + delta_bias)
    s = np.zeros(a.shape) if state is None else state.copy()
    y = np.empty(u.shape)
    for t in range(len(u)):
        for channel in range(u.shape[1]):
            s[channel] = np.exp(step[t, channel] * a[channel]) * s[channel] + step[t, channel] * u[t, channel] * b[t]
            y[t, channel] = s[channel] @ c[t]
    return (y + u * d) * silu(z), s


def selective_scan_associative(
    u: np.ndarray,
    delta: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    d: np.ndarray,
    z: np.ndarray,
    delta_bias: np.ndarray,
    state: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The same by the scan operator of the CUDA kernel, (a1, b1) ∘ (a2, b2) = (a1·a2, a2·b1 + b2), in log2(L) sweeps.

    Step 0 is the pair (0, initial state), so that every prefix holds the state itself in its second half.
    """
    step = softplus(delta + delta_bias)
    first = np.zeros(a.shape) if state is None else state
    decay = np.concatenate([np.zeros((1, *a.shape)), np.exp(step[:, :, None] * a)])
    driven = np.concatenate([first[None], (step * u)[:, :, None] * b[:, None, :]])
    stride = 1
    while stride < len(decay):
        driven[stride:] = decay[stride:] * driven[:-stride] + driven[stride:]
        decay[stride:] = decay[:-stride] * decay[stride:]
        stride *= 2
    y = np.einsum("ldn,ln->ld", driven[1:], c)
    return (y + u * d) * silu(z), driven[-1]


@dataclass(frozen=True)
class Layer:
    """One layer's parameters, float64; the linears as dense matrices [outputs, inputs]."""

    norm: np.ndarray
    in_proj: np.ndarray
    conv_weight: np.ndarray
    conv_bias: np.ndarray
    x_proj: np.ndarray
    dt_proj: np.ndarray
    dt_bias: np.ndarray
    a_log: np.ndarray
    d: np.ndarray
    out_proj: np.ndarray


@dataclass(frozen=True)
class Weights:
    """A language model's parameters, float64: embedding and head [vocabulary, d], final norm [d]."""

    config: ModelConfig
    embedding: np.ndarray
    layers: Sequence[Layer]
    norm_f: np.ndarray
    head: np.ndarray


@dataclass(frozen=True)
class LayerState:
    """What one layer carries: the last d_conv − 1 convolution inputs [d_conv − 1, D] and S [D, N]."""

    history: np.ndarray
    scan: np.ndarray


def weights_from_packed(model: PackedModel) -> Weights:
    """Parameters of a packed model, binarized projections or plain ones ("layers.0.mixer.in_proj.weight")."""
    config = model.config

    def tensor(name: str) -> np.ndarray:
        return np.asarray(model.tensors[name], np.float64)

    def linear(name: str) -> np.ndarray:
        return dense_weight(model.linears[name]) if name in model.linears else tensor(f"{name}.weight")

    def layer(i: int) -> Layer:
        mixer = f"layers.{i}.mixer"
        return Layer(
            norm=tensor(f"layers.{i}.norm.weight"),
            in_proj=linear(f"{mixer}.in_proj"),
            conv_weight=tensor(f"{mixer}.conv1d.weight").reshape(config.d_inner, config.d_conv),
            conv_bias=tensor(f"{mixer}.conv1d.bias"),
            x_proj=linear(f"{mixer}.x_proj"),
            dt_proj=linear(f"{mixer}.dt_proj"),
            dt_bias=tensor(f"{mixer}.dt_proj.bias"),
            a_log=tensor(f"{mixer}.A_log"),
            d=tensor(f"{mixer}.D"),
            out_proj=linear(f"{mixer}.out_proj"),
        )

    embedding = tensor("embedding.weight")
    head = embedding if config.tie_embeddings else tensor("lm_head.weight")
    return Weights(config, embedding, [layer(i) for i in range(config.layers)], tensor("norm_f.weight"), head)


def block(
    u: np.ndarray, layer: Layer, config: ModelConfig, state: LayerState | None = None, scan: Scan = selective_scan
) -> tuple[np.ndarray, LayerState]:
    """The mixer (without the residual and the norm before it): ``u`` [L, d] → [L, d], new state."""
    x, z = np.split(u @ layer.in_proj.T, 2, axis=1)
    conv, history = causal_conv(x, layer.conv_weight, layer.conv_bias, None if state is None else state.history)
    x = silu(conv)
    low, b, c = np.split(x @ layer.x_proj.T, [config.dt_rank, config.dt_rank + config.d_state], axis=1)
    y, last = scan(
        x,
        low @ layer.dt_proj.T,
        -np.exp(layer.a_log),
        b,
        c,
        layer.d,
        z,
        layer.dt_bias,
        None if state is None else state.scan,
    )
    return y @ layer.out_proj.T, LayerState(history, last)


def language_model(
    weights: Weights,
    ids: np.ndarray,
    states: Sequence[LayerState] | None = None,
    scan: Scan = selective_scan,
) -> tuple[np.ndarray, list[LayerState]]:
    """``ids`` int [L] → logits float64 [L, vocabulary] (row t predicts what follows ids[t]) and every layer's state."""
    config = weights.config
    residual = weights.embedding[np.asarray(ids)]
    after = []
    for i, layer in enumerate(weights.layers):
        normed = rmsnorm(residual, layer.norm, config.norm_eps)
        mixed, state = block(normed, layer, config, None if states is None else states[i], scan)
        residual = residual + mixed
        after.append(state)
    return rmsnorm(residual, weights.norm_f, config.norm_eps) @ weights.head.T, after
