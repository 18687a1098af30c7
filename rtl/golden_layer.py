"""Golden data of whole layers: what software does at an engine's faces, and what must come back, as scripts.

The results are those of the simulator's own ``apply_linear``, on random layers and on those that a trained model runs
on a text. ``bench.layer_bench`` plays the scripts; it needs nothing but the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from ..designs.pipeline import core_latency, layer_cycles
from ..models.packed import PackedModel
from ..models.precision import Precision
from ..sim import layers
from ..sim.formats import Fixed
from ..sim.layers import apply_linear
from ..sim.prepare import BinaryLinear, Mantissas
from ..sim.record import Recorder
from ..sim.run import Simulator
from .golden import Product, Profile, idle_cycles, kernel_plane
from .packing import pack_layer, tile_offsets, weight_words
from .register_table import ERRORS, TARGETS, register_table, setting_writes
from .settings import EngineConfig, layer_settings

FACES = ("parameters", "x", "y")
BUSY, DONE, ERROR = 1, 2, 4
"""Bits of the status register."""
_START, _SOFT_RESET = 1, 2
_CODE_LOW = 8
_HALF_SPREAD = 3
"""Random results are spread over up to 2^±3 times their format: some saturate, some use few bits."""


class _Unrecorded(Recorder):
    """Records nothing and needs no model."""

    def __init__(self) -> None:
        self.enabled = False


@dataclass(frozen=True)
class Task:
    """A layer and its tokens, as an engine gets them.

    ``arguments`` of ``layer_settings``; ``weights``, ``offsets``, ``alpha``, ``beta``: as in ``LayerImage``. Either
    ``x`` int32 [tokens, inputs] or, past the quantizer, ``u`` uint8 [tokens, inputs]: activations in offset binary.
    ``y`` int64 [tokens, outputs]: the results.
    """

    name: str
    arguments: Mapping[str, Any]
    weights: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    y: np.ndarray
    alpha: np.ndarray = field(default_factory=lambda: np.empty(0, np.int16))
    beta: np.ndarray = field(default_factory=lambda: np.empty(0, np.int16))
    x: np.ndarray | None = None
    u: np.ndarray | None = None


def linear_task(
    config: EngineConfig, name: str, linear: BinaryLinear, x: np.ndarray, source: Fixed, result: Fixed
) -> Task:
    """``linear`` on ``x`` int32 [tokens, inputs]. Raises ``ValueError`` where it is not in the hardware's domain."""
    image = pack_layer(linear, source, result, config.back)
    y = apply_linear(linear, x, source, result, config.quantizer, _Unrecorded(), 0, name)
    arguments = image.settings | {"tokens": len(x)}
    return Task(name, arguments, image.weights, image.offsets, y, image.alpha, image.beta, x=x)


def raw_task(config: EngineConfig, product: Product) -> Task:
    """Σ_p coefficient_p · (B_p · q) of ``product``, its activations given to the array as they are; 32-bit results."""
    planes = np.stack([kernel_plane(plane) for plane in product.weights])
    tokens, inputs = product.q.shape
    coefficients = tuple(product.raw_coefficients.tolist())
    arguments = {
        "inputs": inputs,
        "outputs": product.weights.shape[1],
        "tokens": tokens,
        "planes": len(coefficients),
        "bits": product.bits,
        "coefficients": coefficients,
        "result_bits": 32,
    }
    return Task(
        product.name,
        arguments,
        weight_words(planes, inputs, config.array),
        tile_offsets(planes, inputs, coefficients, config.array, product.bits, bipolar=product.bits == 1),
        product.sums,
        u=product.offset_binary,
    )


def random_linear(
    rng: np.random.Generator, inputs: int, outputs: int, planes: int, source: Fixed, result: Fixed
) -> BinaryLinear:
    """A layer whose results on tokens of all magnitudes now fill ``result`` and now saturate."""
    words = rng.integers(1 << 64, size=(planes, -(-inputs // 64), outputs), dtype=np.uint64)
    if inputs % 64:
        words[:, -1] &= np.uint64((1 << inputs % 64) - 1)
    coefficients = rng.integers(-(1 << 12), 1 << 12, planes) if planes > 1 else np.ones(1, np.int64)
    alpha, beta = rng.integers(-(1 << 15) + 1, 1 << 15, (2, inputs)).astype(np.int16)
    magnitude = source.bits + 14 + (12 if planes > 1 else 0) + inputs.bit_length() // 2
    exponent = magnitude - result.bits + int(rng.integers(-_HALF_SPREAD, _HALF_SPREAD, endpoint=True))
    greatest = int(np.abs(beta.astype(np.int64)).sum()) << (source.bits - 1)
    bias_exponent = greatest.bit_length() - result.bits + int(rng.integers(3))
    shared = result.fraction - source.fraction
    return BinaryLinear(
        inputs=inputs,
        outputs=outputs,
        planes=words,
        coefficients=coefficients,
        coefficient_exponent=0,
        alpha=Mantissas(alpha, exponent + shared),
        beta=Mantissas(beta, bias_exponent + shared),
    )


def random_x(rng: np.random.Generator, tokens: int, inputs: int, source: Fixed) -> np.ndarray:
    """int32 [tokens, inputs] in ``source``: each token of a magnitude of its own, the greatest and 0 among them."""
    shifts = rng.integers(source.bits, size=(tokens, 1))
    shifts[0] = 0
    x = rng.integers(-source.greatest - 1, source.greatest, (tokens, inputs), endpoint=True) >> shifts
    x[rng.integers(tokens)] *= int(rng.integers(2))
    return x.astype(np.int32)


def tasks_of_text(config: EngineConfig, model: PackedModel, text: bytes) -> list[Task]:
    """Every binary layer that ``model`` runs while it reads ``text`` at once, by the quantizer of the engine."""
    simulator = Simulator(model, Precision(quantizer=config.quantizer))
    with mock.patch.object(layers, "apply_linear", wraps=apply_linear) as spy:
        simulator.step(np.frombuffer(text, np.uint8)[None], simulator.new_state())
    tasks = []
    for call in spy.call_args_list:
        linear, x, source, result, _, _, layer, name = call.args
        if isinstance(linear, BinaryLinear):
            tasks.append(linear_task(config, f"layers.{layer}.{name}", linear, x, source, result))
    return tasks


class Script:
    """Operations at the faces of an engine, in order.

    ``idle``: profiles of the faces ``parameters``, ``x``, ``y`` and ``registers`` (others are never idle). Each
    operation is a list, its kind first; spans are of the arrays that ``write_scripts`` leaves::

        write, refused     offset, value, pauses        a register is written; the response is OKAY, or SLVERR
        read               offset, value, pauses        it must be exactly this
        await              offset, mask, value, pauses  read until the bits of mask are value
        report             name, offset, pauses         what it reads is left in counters.json
        parameters         span                         a packet
        tokens             span of x                    they are taken while nobody takes results
        layer              span of x, span of y         tokens in, results out, the last ones marked
        interrupt          value                        what o_interrupt is
    """

    def __init__(
        self, config: EngineConfig, name: str, seed: int = 1, idle: Mapping[str, Profile] = MappingProxyType({})
    ) -> None:
        self.name = name
        self.operations: list[list[Any]] = []
        self.arrays: dict[str, list[np.ndarray]] = {}
        self._config, self._rng, self._idle = config, np.random.default_rng(seed), idle
        self._offsets = {register.name: register.offset for register in register_table(config)}

    def run(self, task: Task, *, load: bool = True, early: int = 0) -> Script:
        """Load a task, start, take all results, check the counters.

        ``load=False``: its parameters are there still; ``early``: beats of x that are sent before all else. The cycles
        are checked where nobody makes the array wait: activations loaded before, results always taken.
        """
        settings = layer_settings(self._config, **task.arguments)
        if early:
            self.tokens(self.x_beats(task)[:early])
        if load:
            self.load(task)
        self.configure(settings)
        rows, columns = result_rows(self._config, task.y)
        if task.u is None:
            self.start()
            self.layer(self.x_beats(task)[early:], rows, columns)
        else:
            self._run_raw(task, settings, rows, columns)
        steps = _steps(self._config, settings)
        self.read("status", DONE).read("rows_out", len(rows)).read("steps", steps)
        self.operations.append(["interrupt", 1])
        if task.u is not None and settings["token_tiles"] <= settings["slots"] and not self._idle:
            self.read("cycles", _cycles(self._config, settings))
        self.operations.append(["report", task.name, self._offsets["cycles"], self._pauses()])
        self.write("status", DONE)
        self.operations.append(["interrupt", 0])
        return self

    def load(self, task: Task) -> None:
        """All parameters of a task."""
        beats = -(-self._config.back.sum_bits // 32)
        offsets = np.ascontiguousarray(task.offsets.ravel(), "<i8").view("<u4").reshape(-1, 2)[:, :beats]
        self.packet("weights", 0, task.weights)
        self.packet("offset", 0, offsets)
        for target, values in (("alpha", task.alpha), ("beta", task.beta)):
            if values.size:
                self.packet(target, 0, values.view(np.uint16))

    def configure(self, settings: Mapping[str, int]) -> None:
        """Write settings in a random order."""
        writes = setting_writes(settings)
        for index in self._rng.permutation(len(writes)):
            self.operations.append(["write", *writes[index], self._pauses()])

    def start(self) -> None:
        """Start what is configured."""
        self.write("control", _START)

    def start_refused(self, error: str) -> None:
        """A start that fails with ``error``."""
        self.start()
        self.wait_for("status", BUSY, 0)
        self.error(error)

    def error(self, name: str, *, busy: bool = False) -> None:
        """The error ``name`` has been raised and is cleared."""
        self.wait_for("status", ERROR, ERROR)
        self.read("status", busy * BUSY | ERROR | list(ERRORS).index(name) << _CODE_LOW)
        self.write("status", ERROR)
        self.read("status", busy * BUSY)

    def soft_reset(self) -> None:
        """Abandon the layer."""
        self.write("control", _SOFT_RESET)
        self.read("status", 0)

    def write(self, register: str, value: int) -> Script:
        """Write a register that takes it."""
        self.operations.append(["write", self._offsets[register], value, self._pauses()])
        return self

    def refused(self, register: str, value: int) -> Script:
        """Write a register that does not take it now."""
        self.operations.append(["refused", self._offsets[register], value, self._pauses()])
        return self

    def read(self, register: str, value: int) -> Script:
        """Read a register that must be ``value``."""
        self.operations.append(["read", self._offsets[register], value, self._pauses()])
        return self

    def expected(self, register: str) -> list[int]:
        """What the reads of a register must give, one after the other."""
        reads = [operation for operation in self.operations if operation[0] == "read"]
        return [value for _, offset, value, _ in reads if offset == self._offsets[register]]

    def wait_for(self, register: str, mask: int, value: int) -> Script:
        """Read a register until its bits of ``mask`` are ``value``."""
        self.operations.append(["await", self._offsets[register], mask, value, self._pauses()])
        return self

    def packet(self, target: str, address: int, values: np.ndarray) -> None:
        """Fill a memory."""
        self.write("load_target", list(TARGETS).index(target)).write("load_address", address)
        beats = values.astype(np.uint32).ravel()
        self.operations.append(["parameters", self._append("parameters", beats)])

    def x_beats(self, task: Task) -> np.ndarray:
        """The tokens of a task, uint8 [beats, bytes]: the lanes of a beat, then its mark."""
        assert task.x is not None
        tokens, inputs = task.x.shape
        lanes = self._config.vector_lanes
        padded = np.pad(task.x, ((0, 0), (0, -inputs % lanes))).astype("<i4")
        octets = padded.view(np.uint8).reshape(tokens, -1, 4 * lanes)
        marks = np.zeros((*octets.shape[:2], 1), np.uint8)
        marks[:, -1] = 1
        return np.concatenate((octets, marks), axis=2).reshape(-1, self._x_bytes)

    def tokens(self, x: np.ndarray) -> None:
        """Send beats of ``x`` while no result is taken."""
        self.operations.append(["tokens", self._append("x", x)])

    def layer(self, x: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, last: bool = True) -> None:
        """Send ``x`` and take ``rows``; ``last``: these end the layer."""
        span = self._append("y", rows)
        self.arrays.setdefault("y_columns", []).append(columns)
        self.arrays.setdefault("y_last", []).append(last & (np.arange(len(rows)) == len(rows) - 1))
        self.operations.append(["layer", self._append("x", x), span])

    def load_activations(self, task: Task, settings: Mapping[str, int], tile: int) -> None:
        """The activations of a token tile, a packet for each row; the last hands the slot over."""
        assert task.u is not None
        height = settings["last_height"] if tile == settings["token_tiles"] - 1 else self._config.array.rows
        words = activation_words(self._config, task.u, task.arguments["bits"])
        address = tile % settings["slots"] * words.shape[1]
        for row in range(height):
            target = "last_activations" if row == height - 1 else "activations"
            self.packet(target, row << 16 | address, words[tile * self._config.array.rows + row])

    def _run_raw(self, task: Task, settings: Mapping[str, int], rows: np.ndarray, columns: np.ndarray) -> None:
        """What fits before the start; then tile after tile, each into the slot of one whose results are all out."""
        tiles, slots = settings["token_tiles"], settings["slots"]
        for tile in range(min(tiles, slots)):
            self.load_activations(task, settings, tile)
        self.start()
        none = np.empty((0, self._x_bytes), np.uint8)
        of_tile, taken = self._config.array.rows * settings["output_tiles"], 0
        for tile in range(slots, tiles):
            part = slice(taken, taken + of_tile)
            self.layer(none, rows[part], columns[part], last=False)
            self.load_activations(task, settings, tile)
            taken += of_tile
        self.layer(none, rows[taken:], columns[taken:])

    @property
    def _x_bytes(self) -> int:
        return 4 * self._config.vector_lanes + 1

    def _append(self, face: str, beats: np.ndarray) -> tuple[int, int]:
        parts = self.arrays.setdefault(face, [])
        first = sum(map(len, parts))
        parts.append(beats)
        gaps = idle_cycles(self._rng, self._idle.get(face, "none"), len(beats))
        self.arrays.setdefault(f"{face}_gaps", []).append(gaps)
        return first, first + len(beats)

    def _pauses(self) -> list[int]:
        return idle_cycles(self._rng, self._idle.get("registers", "none"), 3).tolist()


def write_scripts(path: Path, config: EngineConfig, scripts: Iterable[Script]) -> None:
    """Leave ``scripts`` for an engine of ``config`` at ``path`` (.npz, no pickled objects).

    Arrays of script i, named ``i/…``: ``parameters`` uint32, ``x`` uint8 [beats, bytes], ``y`` int32 [rows, cols] with
    ``y_columns`` (how many of them mean something) and ``y_last``; idle cycles before each beat in ``…_gaps``.
    ``description``: JSON of the sizes and, for each script, its operations.
    """
    described: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for index, script in enumerate(scripts):
        described[script.name] = {"number": index, "operations": script.operations}
        arrays |= {f"{index}/{name}": np.concatenate(parts) for name, parts in script.arrays.items()}
    sizes = {"cols": config.array.cols, "vector_lanes": config.vector_lanes}
    description = json.dumps({"sizes": sizes, "scripts": described})
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, description=np.array(description), **arrays)


def result_rows(config: EngineConfig, y: np.ndarray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """``y`` [tokens, outputs] as it leaves: int32 [rows, cols] by token tile, output tile, token, and the columns of
    each row that are outputs."""
    tokens, outputs = y.shape
    rows, cols = config.array.rows, config.array.cols
    padded = np.pad(y, ((0, 0), (0, -outputs % cols))).astype(np.int32)
    by_output_tile = padded.reshape(tokens, -1, cols).transpose(1, 0, 2)
    valid = np.minimum(cols, outputs - np.arange(0, outputs, cols))
    token_tiles = [by_output_tile[:, first : first + rows] for first in range(0, tokens, rows)]
    return (
        np.concatenate([tile.reshape(-1, cols) for tile in token_tiles]),
        np.concatenate([np.repeat(valid, tile.shape[1]) for tile in token_tiles]),
    )


def activation_words(config: EngineConfig, u: np.ndarray, bits: int) -> NDArray[np.uint32]:
    """``u`` uint8 [tokens, inputs] of ``bits`` bits → uint32 [tokens, words of a slot, beats of a word].

    Serial: for bit from the highest, for word, a bit of each lane; parallel: for word, 8 bits of each lane.
    """
    tokens, inputs = u.shape
    lanes = config.array.lanes
    words = np.pad(u, ((0, 0), (0, -inputs % lanes))).reshape(tokens, 1, -1, lanes)
    if config.array.activations == "serial":
        places = np.arange(bits - 1, -1, -1, dtype=np.uint8)[:, None, None]
        words = np.packbits(words >> places & 1, axis=3, bitorder="little")
    octets = words.reshape(tokens, -1, words.shape[3])
    padded = np.pad(octets, ((0, 0), (0, 0), (0, -octets.shape[2] % 4)))
    return np.ascontiguousarray(padded).view("<u4").astype(np.uint32)


def _steps(config: EngineConfig, settings: Mapping[str, int]) -> int:
    bits = settings["bits"] if config.array.activations == "serial" else 1
    return bits * int(np.prod([settings[name] for name in ("words", "planes", "output_tiles", "token_tiles")]))


def _cycles(config: EngineConfig, settings: Mapping[str, int]) -> int:
    """From the start to the core's last row, where all activations are there and nobody waits."""
    array = config.array
    sizes = (np.array(settings[name], np.int64) for name in ("tokens", "outputs", "inputs", "planes", "bits"))
    cycles = layer_cycles(
        *sizes,
        rows=array.rows,
        cols=array.cols,
        lanes=array.lanes,
        activations=array.activations,
        cols_per_block=array.cols_per_block,
        levels_per_stage=array.levels_per_stage,
    )
    return core_latency() + int(cycles)
