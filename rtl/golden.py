"""Golden data for the cocotb benches: matrix products, cut into the array's steps, and what must come of them.

The sums come from the simulator's own kernels, for random products and for those that a trained model does on a text;
the raw counts are worked out apart from them, and the bench relates the two. ``bench.array_bench`` reads the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from ..designs.pipeline import layer_cycles
from ..models.packed import PackedModel
from ..sim.kernels.linear import binary_matmul, combine_planes
from ..sim.kernels.quantize import pack_planes
from ..sim.prepare import BinaryLinear, Linear
from ..sim.record import Recorder
from ..sim.run import Simulator
from .bench.coverage import PLANES, STALLS
from .config import ArrayConfig

Profile = Literal["none", "rare", "bursty", "mostly"]
PROFILES: tuple[Profile, ...] = ("none", "rare", "bursty", "mostly")
"""How often a stream is idle before a beat: never; 1 in 16 times, 1–3 cycles; 1 in 16, 8–40; 3 of 4, 1–4 cycles."""
_ODDS = {"none": (0.0, 1, 2), "rare": (1 / 16, 1, 4), "bursty": (1 / 16, 8, 41), "mostly": (3 / 4, 1, 5)}
STREAMS = ("i_activations", "i_weights", "o")
Values = Literal["random", "ones", "zeros", "least", "sparse"]
VALUES: tuple[Values, ...] = ("random", "ones", "zeros", "least", "sparse")
"""Contents of a random product: any; greatest q, weights +1; q = 0, weights −1; least q (−128), any weights; or one in
16 weights +1 and one in 16 inputs not the least."""


@dataclass(frozen=True)
class Product:
    """Σ_p coefficient_p · (B_p · q) as a layer wants it.

    ``q`` int8 [tokens, inputs] of ``bits`` bits (with one bit −1 or +1, else two's complement), ``weights`` bool
    [planes, outputs, inputs] (1 for +1), ``coefficients`` int64 [planes].
    """

    name: str
    q: np.ndarray
    bits: int
    weights: np.ndarray
    coefficients: np.ndarray

    @property
    def offset_binary(self) -> np.ndarray:
        """uint8 [tokens, inputs]: q as the array takes it, 0 to 2^bits − 1."""
        wide = self.q.astype(np.int16)
        return ((wide + 1) // 2 if self.bits == 1 else wide + (1 << self.bits - 1)).astype(np.uint8)

    @property
    def raw_coefficients(self) -> np.ndarray:
        """int64 [planes]: what a raw count is worth. A mismatch of two signs counts 2."""
        return self.coefficients * (2 if self.bits == 1 else 1)

    @property
    def offset(self) -> np.ndarray:
        """int64 [outputs]: the sums where no lane mismatches.

        Σ_p coefficient_p · (2^(bits−1)·inputs − ones of the plane's row), of signs Σ_p coefficient_p · inputs.
        """
        inputs = self.q.shape[1]
        if self.bits == 1:
            return np.full(self.weights.shape[1], int(self.coefficients.sum()) * inputs)
        lost = (inputs << self.bits - 1) - self.weights.sum(2, dtype=np.int64)
        return self.coefficients @ lost

    @property
    def sums(self) -> np.ndarray:
        """int64 [tokens, outputs], by the kernels that the simulator runs."""
        tokens, inputs = self.q.shape
        packed = np.empty((tokens, 8, -(-inputs // 64)), np.uint64)
        pack_planes(self.q, packed)
        parts = np.empty((len(self.weights), tokens, self.weights.shape[1]), np.int32)
        for plane, part in zip(self.weights, parts, strict=True):
            binary_matmul(kernel_plane(plane), packed, part)
        out = np.empty(parts.shape[1:], np.int64)
        combine_planes(parts, self.coefficients, out)
        return out


def kernel_plane(plane: np.ndarray) -> np.ndarray:
    """bool [outputs, inputs] → uint64 [words, outputs]: input i of word w is bit i."""
    padded = np.pad(plane, ((0, 0), (0, -plane.shape[1] % 64)))
    return np.ascontiguousarray(np.packbits(padded, axis=1, bitorder="little").view("<u8").T.astype(np.uint64))


def random_product(
    rng: np.random.Generator, name: str, tokens: int, outputs: int, inputs: int, planes: int, bits: int, values: Values
) -> Product:
    """A product of the given sizes; ``values`` as in ``VALUES``."""
    least, greatest = (-1, 1) if bits == 1 else (-(1 << bits - 1), (1 << bits - 1) - 1)
    q = rng.integers(least, greatest, (tokens, inputs), endpoint=True)
    weights = rng.integers(2, size=(planes, outputs, inputs), dtype=np.uint8)
    match values:
        case "ones":
            q[:], weights[:] = greatest, 1
        case "zeros":
            q[:], weights[:] = 0, 0
        case "least":
            q[:] = least
        case "sparse":
            q = np.where(rng.random(q.shape) < 1 / 16, q, least)
            weights &= rng.random(weights.shape) < 1 / 16
    if bits == 1:
        q = np.where(q > 0, 1, -1)
    coefficients = rng.integers(-1000, 1000, planes, endpoint=True)
    return Product(name, q.astype(np.int8), bits, weights.astype(bool), coefficients)


class _Capture(Recorder):
    """Keeps what every binary layer is given."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(simulator.model, enabled=True)
        self.products: list[Product] = []

    def pack(self, q: np.ndarray) -> np.ndarray:
        self._q = q.copy()
        return super().pack(q)

    def linear(self, layer: int, name: str, linear: Linear, tokens: int, out_bits: int, clipped: int) -> None:
        if isinstance(linear, BinaryLinear):
            weights = linear.planes.transpose(0, 2, 1).astype("<u8", order="C").view(np.uint8)
            signs = np.unpackbits(weights, axis=2, bitorder="little")[:, :, : linear.inputs].astype(bool)
            self.products.append(Product(f"layers.{layer}.{name}", self._q, 8, signs, linear.coefficients))
        super().linear(layer, name, linear, tokens, out_bits, clipped)


def products_of_text(model: PackedModel, text: bytes) -> list[Product]:
    """Every product of a binary layer while ``model`` reads ``text`` at once, activations as its simulator has them."""
    simulator = Simulator(model)
    capture = _Capture(simulator)
    simulator.step(np.frombuffer(text, np.uint8)[None], simulator.new_state(), capture)
    return capture.products


@dataclass(frozen=True)
class Case:
    """Products whose passes follow one another. ``idle``: profiles of streams (others are never idle).

    ``forced``: streams that are idle at least once in every product. ``reset_after``: cycles after which the case is
    reset and run again, 0 for not at all.
    """

    name: str
    products: Sequence[Product]
    idle: Mapping[str, Profile] = field(default_factory=dict)
    forced: frozenset[str] = frozenset()
    reset_after: int = 0


def coverage_cases(config: ArrayConfig, seed: int) -> list[Case]:
    """Small products that hit every bin of ``bench.coverage`` that an array of ``config`` can hit.

    One case for each kind of stall, in it a product of each precision, number of planes and class of inputs.
    """
    rng = np.random.default_rng(seed)
    precisions = (1, 2, 4, 8) if config.activations == "serial" else (8,)
    rests = sorted({0, 1 % config.lanes, config.lanes // 2, config.lanes - 1})
    cases = []
    profiles: tuple[Profile, ...] = ("none", "mostly", "bursty", "rare", "mostly")
    for stall, profile in zip(STALLS, profiles, strict=True):
        products: list[Product] = []
        for bits, planes, rest in product(precisions, PLANES, rests):
            inputs = rest + config.lanes * int(rng.integers(rest == 0, 3))
            tokens = int(rng.integers(1, 2 * config.rows, endpoint=True))
            outputs = int(rng.integers(1, 2 * config.cols, endpoint=True))
            values = VALUES[len(products) % len(VALUES)]
            name = f"{bits} bits, {planes} planes, {inputs} inputs"
            products.append(random_product(rng, name, tokens, outputs, inputs, planes, bits, values))
        forced = {"none": STREAMS[:0], "activations": STREAMS[:1], "weights": STREAMS[1:2], "rows": STREAMS[2:]}
        of_streams = forced.get(stall, STREAMS)
        idle = dict.fromkeys(of_streams, profile)
        cases.append(Case(f"waits_{stall}", products, idle, frozenset(of_streams)))
    return cases


def random_case(config: ArrayConfig, seed: int, products: int = 8) -> Case:
    """Products of random sizes, each stream idle after a profile of its own."""
    rng = np.random.default_rng(seed)
    idle = {stream: PROFILES[rng.integers(len(PROFILES))] for stream in STREAMS}
    drawn = []
    for i in range(products):
        planes, bits = int(rng.integers(1, 4, endpoint=True)), int(2 ** rng.integers(4))
        inputs = int(rng.integers(1, min(4 * config.lanes, config.inputs_max), endpoint=True))
        tokens = int(rng.integers(1, 3 * config.rows, endpoint=True))
        outputs = int(rng.integers(1, 3 * config.cols, endpoint=True))
        bits = bits if config.activations == "serial" else 8
        values = VALUES[int(rng.integers(len(VALUES)))]
        drawn.append(random_product(rng, f"random {i}", tokens, outputs, inputs, planes, bits, values))
    return Case(f"random_{seed}_{'_'.join(idle.values())}", drawn, idle)


def write_golden(path: Path, config: ArrayConfig, cases: Iterable[Case], seed: int = 1) -> None:
    """Leave ``cases`` for an array of ``config`` at ``path`` (.npz, no pickled objects).

    Arrays: for each of ``STREAMS`` its beats uint8 [beats, bytes] (little endian) and idle cycles before each
    (``…_gaps``); ``coefficients``, ``offset``, ``acc`` int64 of all products behind one another. ``description``: JSON
    of the sizes and, for each case, where its parts of those arrays begin and end.

    Raises ``ValueError`` for activations that a parallel array does not take.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in (*STREAMS, "coefficients", "offset", "acc")}
    gaps: dict[str, list[np.ndarray]] = {name: [] for name in STREAMS}
    ends = dict.fromkeys(arrays, 0)
    described = {}
    for case in cases:
        first, entries = dict(ends), []
        for item in case.products:
            entry: dict[str, object] = {"name": item.name, "bits": item.bits, "inputs": item.q.shape[1]}
            entry |= {"tokens": item.q.shape[0], "outputs": item.weights.shape[1]}
            parts = dict(zip(STREAMS, array_beats(config, item, rng), strict=True))
            parts |= {"coefficients": item.raw_coefficients, "offset": item.offset, "acc": item.sums.ravel()}
            for name, part in parts.items():
                arrays[name].append(part)
                entry[name] = (ends[name], ends[name] + len(part))
                ends[name] += len(part)
            for name in STREAMS:
                profile = case.idle.get(name, "none")
                gaps[name].append(idle_cycles(rng, profile, len(parts[name]), forced=name in case.forced))
            entries.append(entry)
        spans = {name: (first[name], ends[name]) for name in STREAMS}
        told = {"products": entries, "cycles": _cycles(config, case), "reset_after": case.reset_after}
        described[case.name] = {**spans, **told}
    sizes = {"rows": config.rows, "cols": config.cols, "lanes": config.lanes, "activations": config.activations}
    description = json.dumps({"array": sizes | {"acc_bits": config.acc_bits}, "cases": described})
    joined = {name: np.concatenate(parts) for name, parts in arrays.items()}
    joined |= {f"{name}_gaps": np.concatenate(parts) for name, parts in gaps.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, description=np.array(description), **joined)


def _cycles(config: ArrayConfig, case: Case) -> int | None:
    """What the array must take where nobody stalls it; of one product alone there is a closed form."""
    if len(case.products) > 1 or set(case.idle.values()) - {"none"}:
        return None
    (item,) = case.products
    sizes = (*item.q.shape[:1], item.weights.shape[1], item.q.shape[1], len(item.weights), item.bits)
    cycles = layer_cycles(
        *(np.array(size, np.int64) for size in sizes),
        rows=config.rows,
        cols=config.cols,
        lanes=config.lanes,
        activations=config.activations,
        cols_per_block=config.cols_per_block,
        levels_per_stage=config.levels_per_stage,
    )
    return int(cycles)


def idle_cycles(rng: np.random.Generator, profile: Profile, beats: int, *, forced: bool = False) -> np.ndarray:
    """Idle cycles before each of ``beats``, uint8; ``forced``: at least once one."""
    odds, least, end = _ODDS[profile]
    gaps = np.where(rng.random(beats) < odds, rng.integers(least, end, beats), 0).astype(np.uint8)
    if forced and not gaps.any():
        gaps[rng.integers(beats)] = least
    return gaps


def array_beats(
    config: ArrayConfig, item: Product, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The beats of activations, weights and rows: uint8 [steps, bytes] twice and [rows of all passes, bytes].

    Passes run by token tile, output tile, plane; steps by bit, highest first (serial), then by word. What nobody reads
    is random: the activations of rows without a token, and the weights of columns without an output.

    Raises ``ValueError`` where a parallel array is given activations of other than 8 bits.
    """
    if config.activations == "parallel" and item.bits != 8:
        raise ValueError(f"{item.name} has {item.bits}-bit activations, a parallel array takes 8 bits")
    tokens, inputs = item.q.shape
    planes, outputs, _ = item.weights.shape
    lanes, rows, cols = config.lanes, config.rows, config.cols
    words, token_tiles, tiles = -(-inputs // lanes), -(-tokens // rows), -(-outputs // cols)
    u = rng.integers(1 << item.bits, size=(token_tiles * rows, words * lanes)).astype(np.uint8)
    w = rng.integers(2, size=(planes, tiles * cols, words * lanes)).astype(np.uint8)
    u[:tokens, :inputs], w[:, :outputs, :inputs] = item.offset_binary, item.weights
    u[:, inputs:] = w[:, :, inputs:] = 0
    heights = np.minimum(rows, tokens - rows * np.arange(token_tiles))

    repeat = item.bits if config.activations == "serial" else 1
    steps = repeat * words
    activations = _activation_steps(config, u.reshape(token_tiles, rows, words, lanes), item.bits, heights)
    of_passes = np.broadcast_to(
        activations[:, None], (token_tiles, tiles * planes, steps, activations.shape[-1])
    ).reshape(-1, activations.shape[-1])

    weights = w.reshape(planes, tiles, cols, words, lanes).transpose(1, 0, 3, 2, 4).reshape(-1, words, cols * lanes)
    packed = np.packbits(weights, axis=2, bitorder="little")
    of_bits = np.broadcast_to(packed[:, None], (len(packed), repeat, *packed.shape[1:])).reshape(-1, packed.shape[2])
    weight_steps = np.tile(of_bits, (token_tiles, 1))

    raw = _raw(u, w, item.bits).reshape(planes, token_tiles, rows, tiles, cols)
    leave = np.arange(rows) < heights[:, None, None, None]
    by_pass = raw.transpose(1, 3, 0, 2, 4)[np.broadcast_to(leave, (token_tiles, tiles, planes, rows))]
    ends = np.broadcast_to(np.arange(rows) == heights[:, None, None, None] - 1, (token_tiles, tiles, planes, rows))
    marks = ends[np.broadcast_to(leave, ends.shape)]
    return of_passes, weight_steps, _row_beats(by_pass, marks, config.acc_bits)


def _activation_steps(config: ArrayConfig, u: np.ndarray, bits: int, heights: np.ndarray) -> np.ndarray:
    """uint8 [token tiles, rows, words, lanes] → packed steps of one pass, uint8 [token tiles, steps, bytes]."""
    token_tiles, rows, words, lanes = u.shape
    each = np.unpackbits(u[..., None], axis=4, count=bits, bitorder="little")
    if config.activations == "serial":
        spread = each[..., ::-1].transpose(0, 4, 2, 1, 3).reshape(token_tiles, bits * words, rows * lanes)
    else:
        spread = each.transpose(0, 2, 1, 3, 4).reshape(token_tiles, words, rows * lanes * bits)
    steps = spread.shape[1]
    double = (np.arange(steps) % words == 0) & (config.activations == "serial")
    last = np.arange(steps) == steps - 1
    height = np.unpackbits(heights.astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    flags = np.empty((token_tiles, steps, 2 + rows.bit_length()), np.uint8)
    flags[:, :, 0], flags[:, :, 1], flags[:, :, 2:] = double, last, height[:, None, : rows.bit_length()]
    return np.packbits(np.concatenate((spread, flags), axis=2), axis=2, bitorder="little")


def _raw(u: np.ndarray, w: np.ndarray, bits: int) -> np.ndarray:
    """int64 [planes, tokens, outputs]: Σ_i u_i where the weight is 0, 2^bits − 1 − u_i where it is 1."""
    wide, plus = u.astype(np.int64), w.astype(np.int64).transpose(0, 2, 1)
    return wide @ (1 - plus) + ((1 << bits) - 1 - wide) @ plus


def _row_beats(raw: np.ndarray, last: np.ndarray, acc_bits: int) -> np.ndarray:
    """int64 [rows, cols] and bool [rows] → uint8 [rows, bytes]."""
    octets = raw.astype("<i8").view(np.uint8).reshape(*raw.shape, 8)
    bits = np.unpackbits(octets, axis=2, bitorder="little")[:, :, :acc_bits].reshape(len(raw), -1)
    return np.packbits(np.concatenate((bits, last[:, None]), axis=1), axis=1, bitorder="little")
