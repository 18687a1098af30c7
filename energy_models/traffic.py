"""Bytes that each operation moves: what stays on chip, what is streamed from DRAM, how often memories are read.

Residency, decided once per design over a whole trace. Weights fall into three groups (``vector``: norms, convolution,
scan; ``linear``: the layers' linears; ``head``: the head, which is also the embedding table when tied) and state into
three (``conv1d``, ``scan``, ``attention``: the KV cache). A one-bit design may say of the head and of each state where
it lives. Of the others, in each memory the smallest groups are kept first, whole groups only. A resident group moves
nothing; loading it once before the run is not counted. Other weights are streamed in every step, other state is read
and written in every step. On chip, a scan and a convolution read and write their state at every token.

Activations of an operation stay on chip where its inputs and outputs fit together. Where they do not they are read from
and written to DRAM, and a linear takes the cheaper of two orders: weights once and the inputs again for every tile of
outputs, or inputs once, in chunks that fill the activation memory, and the weights again for every chunk. If all
weights and state are resident, tokens go through the whole model in chunks that fit, and nothing is spilled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..designs.design import Design, GpuDesign, OneBitDesign
from .ops import FP16_BITS, STATE_KINDS, Bools, Floats, Ints, Ops

WEIGHT_GROUPS = ("vector", "linear", "head")
STREAM_BUFFER_KIB = 32
"""The double buffer through which the DMA streams, both halves: what is fetched ahead, and what an access costs."""
GPU_TILE = 128
"""Outputs of one tile of a GPU's matrix kernels, for the re-reading of inputs that do not fit its cache."""
_QUANTIZER_INPUT_BITS = 18
"""Of what a one-bit design quantizes; the others quantize FP16."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Needs:
    """Bytes of each of ``WEIGHT_GROUPS`` and of ``STATE_KINDS`` over the whole model, and of the inputs and outputs of
    one token in the operation that has the most of them."""

    weights: dict[str, int]
    states: dict[str, int]
    activations: int


@dataclass(frozen=True)
class Placement:
    """What a design keeps on chip: groups of weights and of state. ``complete``: that is everything.

    Needs are in bytes over the whole model, ``activation_need`` for one token; ``demanded_*``: of the groups of which
    the design says ``on_chip``.
    """

    weights: frozenset[str]
    states: frozenset[str]
    weight_need: int
    state_need: int
    demanded_weights: int
    demanded_state: int
    activation_need: int
    complete: bool


@dataclass(frozen=True)
class Fit:
    """Whether a trace can run on a design at all; ``reason`` names need and have in KiB where it cannot."""

    feasible: bool
    reason: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Flows:
    """[n] bytes each, of what no size of a design changes; ``weight_groups``, ``state_groups`` [3, n] which operations
    are of which group.

    ``stored``: weights; the rows that an embedding fetches. ``through``: ``inputs`` and outputs, ``per_token`` of one
    token. ``new_tokens``: of one sequence. ``updates``: how often state is written, by a recurrence at every token.
    ``quantizer_reads``, ``quantizer_writes``: in the activation memory.
    """

    weight_groups: Bools
    state_groups: Bools
    stored: Ints
    inputs: Ints
    through: Ints
    per_token: Floats
    new_tokens: Ints
    updates: Ints
    quantizer_reads: Floats
    quantizer_writes: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Traffic:
    """[n] bytes each. ``dram_*``: to and from DRAM, by what is moved. The others: reads and writes of on-chip memories,
    ``stream_*`` of the double buffers through which weights pass that are not resident."""

    dram_weights: Ints
    dram_state: Ints
    dram_activations: Ints
    weight_reads: Floats
    stream_reads: Floats
    stream_writes: Floats
    activation_reads: Floats
    activation_writes: Floats
    state_reads: Floats
    state_writes: Floats

    @property
    def dram(self) -> Ints:
        """[n]: all bytes to and from DRAM."""
        return np.asarray(self.dram_weights + self.dram_state + self.dram_activations)

    @property
    def sram(self) -> Floats:
        """[n]: all bytes read and written on chip."""
        reads = self.weight_reads + self.stream_reads + self.activation_reads + self.state_reads
        return np.asarray(reads + self.stream_writes + self.activation_writes + self.state_writes)


def needs_of(ops: Ops) -> Needs:
    """What the model needs that ``ops`` (in a design's own formats) ran."""
    state_bytes = np.maximum(ops.state_read_bytes, ops.state_write_bytes)
    per_token = -(-(ops.input_bytes + ops.output_bytes) // np.maximum(ops.tokens, 1))
    return Needs(
        weights=dict(zip(WEIGHT_GROUPS, _group_bytes(ops, ops.weight_bytes, _weight_groups(ops)), strict=True)),
        states=dict(zip(STATE_KINDS, _group_bytes(ops, state_bytes, _state_groups(ops)), strict=True)),
        activations=int(per_token.max(initial=0)),
    )


def place(ops: Ops, design: Design) -> Placement:
    """What ``design`` keeps on chip of the model that ``ops`` (in the design's own formats) ran."""
    return place_needs(needs_of(ops), design)


def place_needs(needs: Needs, design: Design) -> Placement:
    """What ``design`` keeps on chip of a model that needs this."""
    weights, states = needs.weights, needs.states
    weights_at, states_at = _places(design)
    kept_weights = _keep(weights, design.weight_memory_kib * 1024, weights_at)
    kept_states = _keep(states, design.state_memory_kib * 1024, states_at)
    return Placement(
        weights=kept_weights,
        states=kept_states,
        weight_need=sum(weights.values()),
        state_need=sum(states.values()),
        demanded_weights=sum(weights[group] for group in _demanded(weights_at)),
        demanded_state=sum(states[group] for group in _demanded(states_at)),
        activation_need=needs.activations,
        complete=not any((weights | states)[group] for group in {*weights, *states} - kept_weights - kept_states),
    )


def fit(placement: Placement, design: Design) -> Fit:
    """Whether a design without DRAM holds everything, and one with DRAM what it says is on chip."""
    has_dram = design.dram is not None
    why = "asks for more than fits on chip" if has_dram else "has no dram"
    short = [
        f"{what} need {need / 1024:.1f} KiB, {field} is {getattr(design, field)}"
        for what, need, field in must_hold(placement, design, has_dram)
        if need > getattr(design, field) * 1024
    ]
    return Fit(not short, f"{design.name} {why}: {'; '.join(short)}" if short else "")


def must_hold(placement: Placement, design: Design, has_dram: bool) -> list[tuple[str, int, str]]:
    """What must stay on chip, its bytes and the field of the memory that must hold it, with DRAM or without."""
    if has_dram:
        states = " and ".join(_demanded(_places(design)[1]))
        return [
            ("embedding and head", placement.demanded_weights, "weight_memory_kib"),
            (f"states of {states}", placement.demanded_state, "state_memory_kib"),
        ]
    return [
        ("weights", placement.weight_need, "weight_memory_kib"),
        ("state", placement.state_need, "state_memory_kib"),
        ("activations of one token", placement.activation_need, "activation_memory_kib"),
    ]


def traffic(ops: Ops, design: Design, placement: Placement) -> Traffic:
    """Bytes of each operation on ``design``; ``ops`` in the design's own formats, ``placement`` from :func:`place`."""
    return traffic_of(flows_of(ops, design.kind == "one_bit"), ops, design, placement)


def flows_of(ops: Ops, one_bit: bool) -> Flows:
    """What flows through each operation on a one-bit design, or on another."""
    embedding, sequences, tokens = ops.is_kind("embedding"), np.maximum(ops.sequences, 1), np.maximum(ops.tokens, 1)
    inputs, new_tokens = np.where(embedding, 0, ops.input_bytes), ops.tokens // sequences
    quantized = ops.is_kind("linear") & (one_bit | (ops.activation_bits < FP16_BITS))
    entering = np.where(quantized, ops.tokens * ops.inputs, 0)
    return Flows(
        weight_groups=_weight_groups(ops),
        state_groups=_state_groups(ops),
        stored=np.where(embedding, ops.input_bytes, ops.weight_bytes),
        inputs=inputs,
        through=inputs + ops.output_bytes,
        per_token=(inputs + ops.output_bytes) / tokens,
        new_tokens=new_tokens,
        updates=np.where(ops.is_kind("scan", "conv1d"), new_tokens, 1),
        quantizer_reads=entering * (_QUANTIZER_INPUT_BITS if one_bit else FP16_BITS) / 8,
        quantizer_writes=entering * ops.activation_bits / 8,
    )


def traffic_of(flows: Flows, ops: Ops, design: Design, placement: Placement) -> Traffic:
    """As :func:`traffic`, of flows that are known."""
    linear, inputs, stored = ops.is_kind("linear"), flows.inputs, flows.stored
    rows, cols = (GPU_TILE, GPU_TILE) if isinstance(design, GpuDesign) else (design.rows, design.cols)
    capacity = design.activation_memory_kib * 1024

    streamed = ~_members(flows.weight_groups, WEIGHT_GROUPS, placement.weights)
    weights = np.where(streamed, stored, 0)

    chunked = placement.complete & (flows.per_token <= capacity)
    spilled = (flows.through > capacity) & ~chunked
    chunks = np.minimum(np.maximum(-(-inputs // max(capacity, 1)), 1), np.maximum(ops.tokens, 1))
    output_tiles = -(-ops.outputs // cols)
    again_inputs = weights + inputs * output_tiles
    again_weights = weights * chunks + inputs
    reload = spilled & linear & (again_weights <= again_inputs)
    reread = spilled & linear & ~reload
    dram_weights = np.where(reload, weights * chunks, weights)
    dram_inputs = np.where(spilled, np.where(reread, inputs * output_tiles, inputs), 0)
    dram_outputs = np.where(spilled, ops.output_bytes, 0)

    resident_state = _members(flows.state_groups, STATE_KINDS, placement.states)
    state_in = np.where(resident_state, 0, ops.state_read_bytes)
    state_out = np.where(resident_state, 0, ops.state_write_bytes)

    token_tiles = -(-ops.tokens // rows)
    readings = np.where(ops.is_kind("attention"), -(-flows.new_tokens // rows), flows.updates)  # of its own KV cache
    if isinstance(design, GpuDesign):
        array_reads = np.where(linear, output_tiles, 1)
    else:
        planes = ops.weight_planes if design.kind == "one_bit" else 1
        array_reads = np.where(linear, output_tiles * planes, np.where(ops.is_kind("rmsnorm", "gated_rmsnorm"), 2, 1))
    weight_reads = (stored * np.where(linear, token_tiles, 1)).astype(np.float64)
    return Traffic(
        dram_weights=dram_weights,
        dram_state=state_in + state_out,
        dram_activations=dram_inputs + dram_outputs,
        weight_reads=np.where(streamed, 0.0, weight_reads),
        stream_reads=np.where(streamed, weight_reads, 0.0),
        stream_writes=dram_weights.astype(np.float64),
        activation_reads=inputs * array_reads + flows.quantizer_reads + dram_outputs,
        activation_writes=ops.output_bytes + flows.quantizer_writes + dram_inputs,
        state_reads=(ops.state_read_bytes * readings + state_out).astype(np.float64),
        state_writes=(ops.state_write_bytes * flows.updates + state_in).astype(np.float64),
    )


def _weight_groups(ops: Ops) -> Bools:
    """[3, n]: which operations are of which of ``WEIGHT_GROUPS``; embedding rows are rows of the head's table."""
    head = ops.is_head | ops.is_kind("embedding")
    linear = ops.is_kind("linear") & ~head
    return np.stack([~linear & ~head, linear, head])


def _state_groups(ops: Ops) -> Bools:
    """[3, n]: which operations keep which of ``STATE_KINDS``."""
    return np.stack([ops.is_kind(group) for group in STATE_KINDS])


def _group_bytes(ops: Ops, sizes: Ints, masks: Bools) -> list[int]:
    """Bytes of each group: the greatest sum over one step."""
    _, step = np.unique(ops.step, return_inverse=True)
    return [int(np.bincount(step, weights=np.where(mask, sizes, 0)).max(initial=0)) for mask in masks]


def _places(design: Design) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Where the design says that groups of weights and of state live; what it says nothing of is ``auto``."""
    if not isinstance(design, OneBitDesign):
        return {}, {}
    return {"head": design.head.at}, {kind: residency.at for kind, residency in design.state}


def _demanded(places: Mapping[str, str]) -> list[str]:
    return [group for group, at in places.items() if at == "on_chip"]


def _keep(sizes: Mapping[str, int], capacity: int, places: Mapping[str, str]) -> frozenset[str]:
    """The groups that stay: those that must, then, smallest first, those that may as long as they fit together."""
    kept = set(_demanded(places))
    used = sum(sizes[group] for group in kept)
    for group in sorted((g for g in sizes if places.get(g, "auto") == "auto"), key=lambda name: sizes[name]):
        if used + sizes[group] > capacity:
            break
        kept.add(group)
        used += sizes[group]
    return frozenset(kept)


def _members(masks: Bools, groups: tuple[str, ...], kept: frozenset[str]) -> Bools:
    """[n]: the operations of the groups that are kept."""
    return np.asarray(np.array([group in kept for group in groups]) @ masks)
