"""Mamba-2 in PyTorch, full-precision or with FBI-Linear projections, with the published Bi-Mamba key names.

Only training needs this file. It runs the chunked (SSD) form, carries the state from one window to the next, and is
held against :mod:`xnorscan.sim` by the tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ModelConfig

CHUNK = 32
"""Tokens per SSD chunk; a window's length must be a multiple of it."""


def pow2_quantize(x: Tensor) -> Tensor:
    """Fake-quantize ``x`` to int8 per token with a power-of-two scale; the gradient passes straight through.

    The scale is 2^ceil(log2(absmax/127)) over the last dimension: xnorscan's own activation quantizer, which the
    papers do not define.
    """
    with torch.no_grad():
        absmax = x.abs().amax(-1, keepdim=True).float().clamp_min(1e-8)
        scale = torch.exp2(torch.ceil(torch.log2(absmax / 127.0)))
        quantized = (torch.round(x / scale) * scale).to(x.dtype)
    return x + (quantized - x).detach()


class FBILinear(nn.Module):
    """y = (α⊙sign(W) + β)·x with α, β per input channel (FBI-LLM, ``BinaryLinearWscales``, pattern "column").

    Keys ``weight`` [out, in], ``wscale`` [1, in], ``wbias`` [1, in]. The sign is +1 iff W > 0.
    The straight-through estimator is the seeds': the gradient of sign is 1 everywhere.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.wscale = nn.Parameter(torch.empty(1, inputs))
        self.wbias = nn.Parameter(torch.empty(1, inputs))
        self.quantize_activations = False

    @torch.no_grad()
    def init_from(self, weight: Tensor) -> None:
        """Start from a full-precision weight as the seeds do: β = column mean, α = mean |W − β| of each column."""
        self.weight.copy_(weight)
        self.wbias.copy_(weight.mean(0, keepdim=True))
        self.wscale.copy_((weight - self.wbias).abs().mean(0, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            sign = torch.where(self.weight > 0, 1.0, -1.0)
        sign = self.weight + (sign - self.weight).detach()
        scaled = x * self.wscale
        if self.quantize_activations:
            scaled = pow2_quantize(scaled)
        return F.linear(scaled, sign) + (x * self.wbias).sum(-1, keepdim=True)


class RMSNorm(nn.Module):
    """x·rsqrt(mean(x²) + eps)·weight in float32."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Mixer(nn.Module):
    """One Mamba-2 block without its residual (state-spaces/mamba ``modules/mamba2.py``, norm_before_gate False)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = self.config = config
        linear = FBILinear if c.binarized else _FullLinear
        self.in_proj = linear(c.d_model, c.d_in_proj)
        self.conv1d = nn.Conv1d(c.conv_dim, c.conv_dim, c.d_conv, groups=c.conv_dim)
        step = torch.exp(torch.rand(c.nheads) * (math.log(0.1) - math.log(0.001)) + math.log(0.001))
        self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        self.A_log = nn.Parameter(torch.log(torch.empty(c.nheads).uniform_(1, 16)))
        self.D = nn.Parameter(torch.ones(c.nheads))
        self.norm = RMSNorm(c.d_inner, c.norm_eps)
        self.out_proj = linear(c.d_inner, c.d_model)

    def forward(self, u: Tensor, tail: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``u`` [b, L, d]; ``tail`` [b, d_conv−1, conv_dim], the convolution's last inputs; ``state`` [b, h, p, n]."""
        c = self.config
        bn = c.ngroups * c.d_state
        z, xbc, dt = self.in_proj(u).split([c.d_inner, c.conv_dim, c.nheads], -1)
        padded = torch.cat([tail, xbc], 1)
        window = u.shape[1]
        taps = self.conv1d.weight[:, 0]
        xbc = self.conv1d.bias + sum(padded[:, k : k + window] * taps[:, k] for k in range(c.d_conv))
        x, b, cc = F.silu(xbc).split([c.d_inner, bn, bn], -1)
        x = x.unflatten(-1, (c.nheads, c.headdim))
        dt = F.softplus(dt.float() + self.dt_bias)
        y, state = ssd(x, dt, -torch.exp(self.A_log), b.float(), cc.float(), state)
        y = (y + self.D[:, None] * x).flatten(-2)
        y = self.norm(y * F.silu(z))
        return self.out_proj(y), padded[:, window:].detach(), state.detach()


class _FullLinear(nn.Linear):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        nn.init.normal_(self.weight, std=inputs**-0.5)


def ssd(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The Mamba-2 recurrence in chunked form (``ssd_minimal_discrete``), one group.

    ``x`` [b, L, h, p], ``dt`` [b, L, h], ``a`` [h], ``b`` and ``c`` [b, L, n], ``state`` [b, h, p, n];
    returns y [b, L, h, p] and the state after the last token.
    """
    batch, length, heads, headdim = x.shape
    chunks = length // CHUNK
    x = (x * dt[..., None]).view(batch, chunks, CHUNK, heads, headdim).permute(0, 1, 3, 2, 4)
    log_decay = (dt * a).view(batch, chunks, CHUNK, heads).permute(0, 1, 3, 2).cumsum(-1)
    b = b.view(batch, chunks, CHUNK, -1)
    c = c.view(batch, chunks, CHUNK, -1)
    causal = torch.ones(CHUNK, CHUNK, dtype=torch.bool, device=x.device).tril()
    gap = (log_decay[..., :, None] - log_decay[..., None, :]).masked_fill(~causal, -torch.inf)
    scores = (c @ b.transpose(-1, -2))[:, :, None] * torch.exp(gap)
    y = scores.to(x.dtype) @ x
    to_end = torch.exp(log_decay[..., -1:] - log_decay)
    added = torch.einsum("zchlp,zchl,zcln->zchpn", x, to_end, b)
    whole = torch.exp(log_decay[..., -1])
    before = []
    for k in range(chunks):
        before.append(state)
        state = whole[:, k, :, None, None] * state + added[:, k]
    carried = torch.einsum("zcln,zchpn->zchlp", c, torch.stack(before, 1)) * torch.exp(log_decay)[..., None]
    return (y + carried).permute(0, 1, 3, 2, 4).reshape(batch, length, heads, headdim), state


class Block(nn.Module):
    """Pre-norm residual block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        self.mixer = Mixer(config)


@dataclass
class Carry:
    """What a stream of text carries from one window to the next, per layer."""

    tails: list[Tensor]
    states: list[Tensor]

    @classmethod
    def zeros(cls, config: ModelConfig, batch: int, device: torch.device | None = None) -> Carry:
        """The carry before the first byte."""
        c = config
        tail = [torch.zeros(batch, c.d_conv - 1, c.conv_dim, device=device) for _ in range(c.layers)]
        state = [torch.zeros(batch, c.nheads, c.headdim, c.d_state, device=device) for _ in range(c.layers)]
        return cls(tail, state)

    def reset(self, rows: Tensor) -> None:
        """Zero the rows of the batch where ``rows`` [batch] is true: a new text starts there."""
        keep = (~rows).float().to(self.states[0].device)
        self.tails = [t * keep[:, None, None] for t in self.tails]
        self.states = [s * keep[:, None, None, None] for s in self.states]


class Network(nn.Module):
    """The language model: embedding, blocks, final norm, tied head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = nn.Module()
        self.backbone.embedding = nn.Embedding(config.vocab_size, config.d_model)
        nn.init.normal_(self.backbone.embedding.weight, std=0.05)
        self.backbone.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.backbone.norm_f = RMSNorm(config.d_model, config.norm_eps)

    def forward(
        self, ids: Tensor, tails: list[Tensor], states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """``ids`` [b, L] → logits [b, L, vocab] and the carry's two lists."""
        h = self.backbone.embedding(ids)
        new_tails, new_states = [], []
        for block, tail, state in zip(self.backbone.layers, tails, states, strict=True):
            out, tail, state = block.mixer(block.norm(h), tail, state)
            h = h + out.float()
            new_tails.append(tail)
            new_states.append(state)
        return F.linear(self.backbone.norm_f(h), self.backbone.embedding.weight), new_tails, new_states
