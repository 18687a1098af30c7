"""The operations of a model from its dimensions alone: the rows that a run of it records, without their statistics.

Bytes are compulsory traffic, each operand once per operation, bits rounded up to bytes over the whole operation:
activations in the widths of :mod:`~xnorscan.models.precision` (``activation_bits`` into linears, ``VECTOR_BITS``
between them, ``RESIDUAL_BITS`` for the residual and what is added to it, and for logits), planes one bit a weight,
scales, norm, convolution and scan weights ``SCALE_BITS``. During a prefill the state stays on chip, so it is read and
written once per operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

from .. import __version__
from ..traces.op import Op
from ..traces.trace import PHASES, Metadata, Phase, Trace
from .config import ModelConfig
from .footprint import KV_BITS
from .linears import Linear, head_linear, layer_linears
from .precision import RESIDUAL_BITS, SCALE_BITS, VECTOR_BITS, Precision

OUTSIDE = -1
"""``layer`` of what stands outside the layers: embedding, final norm and head."""
MOST_TOKENS = 2**31
"""Of a shape-only trace, context included: every byte count is then an int64."""

Logits = Literal["last", "all"]


def shape_trace(
    config: ModelConfig,
    *,
    phase: Phase,
    length: int,
    batch: int = 1,
    new_tokens: int = 0,
    precision: Precision | None = None,
    logits: Logits = "last",
) -> Trace:
    """The trace of ``batch`` equal sequences, from the model's dimensions alone.

    ``prefill``: one step over ``length`` tokens per sequence. ``decode``: one step of one token per sequence with
    ``length`` tokens already in the context (which matters to attention alone). ``run``: a prefill of ``length``, then
    ``new_tokens`` decode steps. ``logits``: whether final norm and head run for the ``last`` token of each
    sequence or for ``all`` of a prefill; a decode step has one token, so they agree there.

    Raises ``ValueError`` naming the argument that is out of range.
    """
    precision = precision or Precision()
    _check(phase, length, batch, new_tokens, logits)
    sizes: list[tuple[int, int]] = []  # (tokens per sequence, tokens already in the context) of each step
    if phase != "decode":
        sizes.append((length, 0))
    decoded = {"prefill": 0, "decode": 1, "run": new_tokens}[phase]
    sizes += [(1, length + index) for index in range(decoded)]
    ops = [
        op
        for step, (tokens, past) in enumerate(sizes)
        for op in step_ops(
            config,
            precision,
            step=step,
            sequences=batch,
            tokens=batch * tokens,
            past=past,
            logit_tokens=batch * (tokens if logits == "all" else 1),
        )
    ]
    metadata = Metadata(
        model=config.name,
        phase=phase,
        batch=batch,
        prompt_length=length,
        new_tokens=decoded,
        precision=asdict(precision),
        versions={"xnorscan": __version__},
    )
    return Trace.from_ops(ops, metadata)


def step_ops(
    config: ModelConfig,
    precision: Precision,
    *,
    step: int,
    sequences: int,
    tokens: int,
    past: int = 0,
    logit_tokens: int | None = None,
) -> list[Op]:
    """The operations of one step in the order in which they run.

    ``tokens``: over all ``sequences``, which are equally long; ``past``: tokens of each already in its context;
    ``logit_tokens``: tokens whose logits are computed, over all sequences (default: all); the final norm and the head
    run for these alone.

    Raises ``ValueError`` where ``tokens`` is no multiple of ``sequences`` or a number is out of range.
    """
    if sequences < 1 or tokens % sequences:
        raise ValueError(f"{tokens} tokens in {sequences} sequences: there must be equally many in each of at least 1")
    rows = _Rows(config, precision, step, sequences, tokens, past + tokens // sequences)
    layer_of = {"mamba2": rows.mamba2_layer, "mamba1": rows.mamba1_layer, "llama": rows.llama_layer}[config.family]
    ops = [rows.embedding()]
    for layer in range(config.layers):
        ops.extend(layer_of(layer))
    last = replace(rows, tokens=tokens if logit_tokens is None else logit_tokens)
    return [*ops, last.rmsnorm(OUTSIDE, "norm_f"), last.head()]


def _check(phase: str, length: int, batch: int, new_tokens: int, logits: str) -> None:
    if phase not in PHASES:
        raise ValueError(f"phase is {phase!r}, it must be one of {', '.join(PHASES)}")
    if logits not in ("last", "all"):
        raise ValueError(f"logits is {logits!r}, it must be one of last, all")
    least = 0 if phase == "decode" else 1
    if length < least:
        raise ValueError(f"length is {length}, it must be at least {least} in {phase}")
    if batch < 1:
        raise ValueError(f"batch is {batch}, it must be at least 1")
    if batch * (length + new_tokens) > MOST_TOKENS:
        raise ValueError(f"batch × length is {batch * (length + new_tokens)} tokens, it must be at most {MOST_TOKENS}")
    if new_tokens < 0 or (new_tokens and phase != "run"):
        raise ValueError(f"new_tokens is {new_tokens} in {phase}, it must be at least 0 in run and 0 elsewhere")


def _bytes(bits: int) -> int:
    return -(-bits // 8)


@dataclass(frozen=True)
class _Rows:
    """Makes the rows of one step; ``context``: positions attention looks back on, the last of this step included."""

    config: ModelConfig
    precision: Precision
    step: int
    sequences: int
    tokens: int
    context: int

    def mamba2_layer(self, layer: int) -> Iterator[Op]:
        c = self.config
        in_proj, out_proj = layer_linears(c)
        yield self.rmsnorm(layer, "norm")
        yield self.linear(layer, in_proj)
        yield self.conv1d(layer)
        entering = c.d_inner + 2 * c.ngroups * c.d_state + c.nheads  # x, B, C, dt
        yield self.scan(layer, c.nheads, c.headdim, entering, weights=3 * c.nheads)  # A, D, dt_bias
        yield self.vector(layer, "norm_gate", "gated_rmsnorm", c.d_inner, operands=2, weights=c.d_inner)
        yield self.linear(layer, out_proj, RESIDUAL_BITS)

    def mamba1_layer(self, layer: int) -> Iterator[Op]:
        c = self.config
        in_proj, x_proj, dt_proj, out_proj = layer_linears(c)
        yield self.rmsnorm(layer, "norm")
        yield self.linear(layer, in_proj)
        yield self.conv1d(layer)
        yield self.linear(layer, x_proj)
        yield self.linear(layer, dt_proj)
        entering = 2 * c.d_inner + 2 * c.d_state  # x, dt, B, C
        yield self.scan(layer, c.d_inner, 1, entering, weights=c.d_inner * c.d_state + 2 * c.d_inner)  # A; D, dt bias
        yield self.vector(layer, "gate", "gate", c.d_inner, operands=2)
        yield self.linear(layer, out_proj, RESIDUAL_BITS)

    def llama_layer(self, layer: int) -> Iterator[Op]:
        c = self.config
        q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj = layer_linears(c)
        yield self.rmsnorm(layer, "input_norm")
        for linear in (q_proj, k_proj, v_proj):
            yield self.linear(layer, linear)
        yield self.rope(layer)
        yield self.attention(layer)
        yield self.linear(layer, o_proj, RESIDUAL_BITS)
        yield self.rmsnorm(layer, "post_norm")
        yield self.linear(layer, gate_proj)
        yield self.linear(layer, up_proj)
        yield self.vector(layer, "swiglu", "swiglu", c.ffn, operands=2)
        yield self.linear(layer, down_proj, RESIDUAL_BITS)

    def embedding(self) -> Op:
        """Fetches one row of planes and its scale per token; the tied table itself is counted at the head."""
        c, planes = self.config, self.precision.head_planes
        return Op(
            step=self.step, layer=OUTSIDE, name="embedding", kind="embedding",
            sequences=self.sequences, tokens=self.tokens, outputs=c.d_model, inputs=c.vocab_size, weight_planes=planes,
            input_bytes=self.tokens * (_bytes(c.d_model * planes) + _bytes(SCALE_BITS)),
            output_bytes=_bytes(self.tokens * c.d_model * RESIDUAL_BITS),
        )  # fmt: skip

    def head(self) -> Op:
        return self.linear(OUTSIDE, head_linear(self.config), RESIDUAL_BITS, self.precision.head_planes)

    def linear(self, layer: int, linear: Linear, output_bits: int = VECTOR_BITS, planes: int = 8) -> Op:
        planes = 1 if linear.binarized else planes
        scales = 2 * linear.inputs if linear.binarized else linear.outputs  # α and β, or one scale per row
        return Op(
            step=self.step, layer=layer, name=linear.name, kind="linear",
            sequences=self.sequences, tokens=self.tokens, outputs=linear.outputs, inputs=linear.inputs,
            weight_planes=planes, activation_bits=self.precision.activation_bits,
            weight_bytes=_bytes(linear.weights * planes) + _bytes(scales * SCALE_BITS),
            input_bytes=_bytes(self.tokens * linear.inputs * self.precision.activation_bits),
            output_bytes=_bytes(self.tokens * linear.outputs * output_bits),
        )  # fmt: skip

    def rmsnorm(self, layer: int, name: str) -> Op:
        d = self.config.d_model
        return self.vector(layer, name, "rmsnorm", d, operands=1, weights=d, input_bits=RESIDUAL_BITS)

    def vector(
        self,
        layer: int,
        name: str,
        kind: Literal["rmsnorm", "gated_rmsnorm", "gate", "swiglu"],
        channels: int,
        *,
        operands: int,
        weights: int = 0,
        input_bits: int = VECTOR_BITS,
    ) -> Op:
        return Op(
            step=self.step, layer=layer, name=name, kind=kind,
            sequences=self.sequences, tokens=self.tokens, outputs=channels, inputs=channels, activation_bits=input_bits,
            weight_bytes=_bytes(weights * SCALE_BITS),
            input_bytes=_bytes(self.tokens * operands * channels * input_bits),
            output_bytes=_bytes(self.tokens * channels * VECTOR_BITS),
        )  # fmt: skip

    def conv1d(self, layer: int) -> Op:
        """Causal, depthwise, with bias; its state is the last d_conv − 1 samples of every channel."""
        c = self.config
        state = _bytes(self.sequences * c.conv_dim * (c.d_conv - 1) * VECTOR_BITS)
        return Op(
            step=self.step, layer=layer, name="conv1d", kind="conv1d",
            sequences=self.sequences, tokens=self.tokens, outputs=c.conv_dim, inputs=c.d_conv,
            activation_bits=VECTOR_BITS, state_bits=VECTOR_BITS,
            weight_bytes=_bytes(c.conv_dim * (c.d_conv + 1) * SCALE_BITS),
            input_bytes=_bytes(self.tokens * c.conv_dim * VECTOR_BITS),
            output_bytes=_bytes(self.tokens * c.conv_dim * VECTOR_BITS),
            state_read_bytes=state, state_write_bytes=state,
        )  # fmt: skip

    def scan(self, layer: int, heads: int, headdim: int, entering: int, weights: int) -> Op:
        c = self.config
        state = _bytes(self.sequences * c.d_inner * c.d_state * self.precision.state_bits)
        return Op(
            step=self.step, layer=layer, name="scan", kind="scan",
            sequences=self.sequences, tokens=self.tokens, outputs=c.d_inner, inputs=c.d_inner,
            heads=heads, headdim=headdim, d_state=c.d_state,
            activation_bits=VECTOR_BITS, state_bits=self.precision.state_bits,
            weight_bytes=_bytes(weights * SCALE_BITS),
            input_bytes=_bytes(self.tokens * entering * VECTOR_BITS),
            output_bytes=_bytes(self.tokens * c.d_inner * VECTOR_BITS),
            state_read_bytes=state, state_write_bytes=state,
        )  # fmt: skip

    def rope(self, layer: int) -> Op:
        """Rotates q and k: 2·d_model channels in and out."""
        c = self.config
        moved = _bytes(self.tokens * 2 * c.d_model * VECTOR_BITS)
        return Op(
            step=self.step, layer=layer, name="rope", kind="rope",
            sequences=self.sequences, tokens=self.tokens, outputs=2 * c.d_model, inputs=2 * c.d_model,
            heads=c.heads, headdim=c.d_model // c.heads, activation_bits=VECTOR_BITS,
            input_bytes=moved, output_bytes=moved,
        )  # fmt: skip

    def attention(self, layer: int) -> Op:
        """q, k and v of the new tokens enter; the KV cache, the state, is read whole and grows by k and v."""
        c = self.config
        return Op(
            step=self.step, layer=layer, name="attention", kind="attention",
            sequences=self.sequences, tokens=self.tokens, outputs=c.d_model, inputs=c.d_model,
            heads=c.heads, headdim=c.d_model // c.heads, context=self.context,
            activation_bits=VECTOR_BITS, state_bits=KV_BITS,
            input_bytes=_bytes(self.tokens * 3 * c.d_model * VECTOR_BITS),
            output_bytes=_bytes(self.tokens * c.d_model * VECTOR_BITS),
            state_read_bytes=_bytes(self.sequences * self.context * 2 * c.d_model * KV_BITS),
            state_write_bytes=_bytes(self.tokens * 2 * c.d_model * KV_BITS),
        )  # fmt: skip
