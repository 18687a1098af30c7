"""Mamba-2 in float64: the scan in its recurrent and its chunked (SSD) form, the block, and the whole language model.

Symbols: L length, h heads, p head size, g groups, n state size, d model width, D = h·p inner channels. Per head:

    dt = softplus(dt_raw + dt_bias)      A = −exp(A_log)
    S_t = exp(dt_t·A)·S_{t−1} + dt_t·(x_t ⊗ B_t)        y_t = S_t·C_t + D·x_t
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .conv import causal_conv
from .fbi_linear import dense_weight
from .nonlinear import gated_rmsnorm, rmsnorm, silu, softplus

if TYPE_CHECKING:
    from xnorscan.models.config import ModelConfig
    from xnorscan.models.packed import PackedModel

Scan = Callable[..., tuple[np.ndarray, np.ndarray]]


def recurrent_scan(
    x: np.ndarray,
    dt: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    d: np.ndarray,
    state: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """``x`` [L, h, p], ``dt`` [L, h] (after softplus), ``a`` [h] (negative), ``b`` and ``c`` [L, g, n], ``d`` [h],
    ``state`` [h, p, n] → y [L, h, p] and the last state. Head i reads group i // (h/g).
    """
    length, heads, headdim = x.shape
    group = np.arange(heads) // (heads // b.shape[1])
    s = np.zeros((heads, headdim, b.shape[2])) if state is None else state.copy()
    y = np.empty((length, heads, headdim))
    for t in range(length):
        for h in range(heads):
            s[h] = np.exp(dt[t, h] * a[h]) * s[h] + dt[t, h] * np.outer(x[t, h], b[t, group[h]])
            y[t, h] = s[h] @ c[t, group[h]] + d[h] * x[t, h]
    return y, s


def segment_sums(a: np.ndarray) -> np.ndarray:
    """[..., l] → [..., l, l]: Σ_{j<k≤i} a_k at (i, j), −∞ above the diagonal, without subtracting large sums."""
    length = a.shape[-1]
    rows = np.arange(length)
    below = rows[:, None] > rows[None, :]
    sums = np.cumsum(np.where(below, a[..., :, None], 0.0), axis=-2)
    return np.where(rows[:, None] >= rows[None, :], sums, -np.inf)


def chunked_scan(
    x: np.ndarray,
    dt: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    d: np.ndarray,
    state: np.ndarray | None = None,
    chunk: int = 4,
) -> tuple[np.ndarray, np.ndarray]:
    """The same function as :func:`recurrent_scan` by ``ssd_minimal_discrete``: matrix products inside each chunk, a
    recurrence over the chunks. A tail shorter than ``chunk`` is padded with dt = 0: decay 1 and no input.
    """
    length, heads, headdim = x.shape
    n = b.shape[2]
    pad = -length % chunk
    per_head = np.arange(heads) // (heads // b.shape[1])

    def chunks(v: np.ndarray) -> np.ndarray:
        padded = np.concatenate([v, np.zeros((pad, *v.shape[1:]))])
        return padded.reshape(-1, chunk, *v.shape[1:])

    dts = chunks(dt)
    inputs = chunks(x) * dts[..., None]
    bs, cs = chunks(b[:, per_head]), chunks(c[:, per_head])
    log_decay = np.moveaxis(dts * a, 2, 1)
    sums = np.cumsum(log_decay, axis=-1)

    diagonal = np.einsum("zlhn,zshn,zhls,zshp->zlhp", cs, bs, np.exp(segment_sums(log_decay)), inputs, optimize=True)
    to_end = np.exp(sums[..., -1:] - sums)
    local = np.einsum("zlhn,zhl,zlhp->zhpn", bs, to_end, inputs, optimize=True)
    first = np.zeros((heads, headdim, n)) if state is None else state
    local = np.concatenate([first[None], local])
    between = np.exp(segment_sums(np.pad(sums[..., -1].T, ((0, 0), (1, 0)))))
    states = np.einsum("hyz,zhpn->yhpn", between, local)
    carried = np.einsum("zlhn,zhpn,zhl->zlhp", cs, states[:-1], np.exp(sums), optimize=True)
    y = (diagonal + carried).reshape(-1, heads, headdim)[:length]
    return y + x * d[:, None], states[-1]


@dataclass(frozen=True)
class Layer:
    """One layer's parameters, float64; the linears as dense matrices [outputs, inputs]."""

    norm: np.ndarray
    in_proj: np.ndarray
    conv_weight: np.ndarray
    conv_bias: np.ndarray
    dt_bias: np.ndarray
    a_log: np.ndarray
    d: np.ndarray
    gated_norm: np.ndarray
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
    """What one layer carries: the last d_conv − 1 convolution inputs [d_conv − 1, D + 2·g·n] and S [h, p, n]."""

    history: np.ndarray
    scan: np.ndarray


def weights_from(config: ModelConfig, tensors: Mapping[str, np.ndarray], linears: Mapping[str, np.ndarray]) -> Weights:
    """Parameters from ``tensors`` ("layers.0.mixer.conv1d.weight") and dense ``linears`` ("layers.0.mixer.in_proj")."""

    def tensor(name: str) -> np.ndarray:
        return np.asarray(tensors[name], np.float64)

    def layer(i: int) -> Layer:
        mixer = f"layers.{i}.mixer"
        return Layer(
            norm=tensor(f"layers.{i}.norm.weight"),
            in_proj=linears[f"{mixer}.in_proj"],
            conv_weight=tensor(f"{mixer}.conv1d.weight").reshape(config.conv_dim, config.d_conv),
            conv_bias=tensor(f"{mixer}.conv1d.bias"),
            dt_bias=tensor(f"{mixer}.dt_bias"),
            a_log=tensor(f"{mixer}.A_log"),
            d=tensor(f"{mixer}.D"),
            gated_norm=tensor(f"{mixer}.norm.weight"),
            out_proj=linears[f"{mixer}.out_proj"],
        )

    embedding = tensor("embedding.weight")
    head = embedding if config.tie_embeddings else tensor("lm_head.weight")
    return Weights(config, embedding, [layer(i) for i in range(config.layers)], tensor("norm_f.weight"), head)


def weights_from_packed(model: PackedModel) -> Weights:
    """Parameters of a packed model; a projection that is not binarized is a plain tensor ``….in_proj.weight``."""
    plain = {
        name.removesuffix(".weight"): np.asarray(tensor, np.float64)
        for name, tensor in model.tensors.items()
        if name.endswith("_proj.weight")
    }
    packed = {name: dense_weight(linear) for name, linear in model.linears.items()}
    return weights_from(model.config, model.tensors, plain | packed)


def block(
    u: np.ndarray, layer: Layer, config: ModelConfig, state: LayerState | None = None, scan: Scan = recurrent_scan
) -> tuple[np.ndarray, LayerState]:
    """The mixer (without the residual and the norm before it): ``u`` [L, d] → [L, d], new state."""
    length, inner, bc = len(u), config.d_inner, config.ngroups * config.d_state
    z, xbc, dt = np.split(u @ layer.in_proj.T, [inner, 2 * inner + 2 * bc], axis=1)
    conv, history = causal_conv(xbc, layer.conv_weight, layer.conv_bias, None if state is None else state.history)
    x, b, c = np.split(silu(conv), [inner, inner + bc], axis=1)
    y, last = scan(
        x.reshape(length, config.nheads, config.headdim),
        softplus(dt + layer.dt_bias),
        -np.exp(layer.a_log),
        b.reshape(length, config.ngroups, config.d_state),
        c.reshape(length, config.ngroups, config.d_state),
        layer.d,
        None if state is None else state.scan,
    )
    gated = gated_rmsnorm(y.reshape(length, inner), z, layer.gated_norm, config.norm_eps, config.ngroups)
    return gated @ layer.out_proj.T, LayerState(history, last)


def language_model(
    weights: Weights,
    ids: np.ndarray,
    states: Sequence[LayerState] | None = None,
    scan: Scan = recurrent_scan,
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


def bits_per_symbol(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean −log2 softmax(logits)[target]: ``logits`` [L, vocabulary], ``targets`` int [L]. For bytes: bits per byte."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    nats = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
    return float(nats.mean() / np.log(2.0))
