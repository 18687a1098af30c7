"""Recording what ran: one trace row per operation, its shape and bytes taken from the arrays that were computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..models.precision import RESIDUAL_BITS, SCALE_BITS, VECTOR_BITS
from ..traces.op import Kind, Op
from ..traces.trace import Metadata, Trace
from .kernels.quantize import MAX_ABS, ONES, STATISTICS, TOGGLES, pack_and_count, pack_planes
from .prepare import BinaryLinear, IntegerModel, Linear

_CLIPPED = STATISTICS
_FIRST_ROOM = 256
Shape = dict[str, Any]
Size = tuple[int, int, bool]


def bytes_of(values: int, bits: int) -> int:
    """Bytes that ``values`` values of ``bits`` bits take, packed."""
    return -(-values * bits // 8)


class Recorder:
    """Collects a run's rows.

    Shapes are worked out once per size of a step; statistics are counted every time, into one table that doubles when
    it is full. With ``enabled=False`` every call returns at once.
    """

    def __init__(self, model: IntegerModel, enabled: bool = True) -> None:
        self.enabled = enabled
        self._model = model
        self._templates: dict[Size, list[Op]] = {}
        self._steps: list[Size] = []
        self._counts = np.zeros((_FIRST_ROOM, STATISTICS + 1), np.int64)
        self._used = 0
        self._template: list[Op] | None = None

    def begin_step(self, sequences: int, tokens: int, last_only: bool) -> None:
        """A new call of the model starts, on ``tokens`` tokens over ``sequences``, with all logits or the last ones."""
        if not self.enabled:
            return
        size = (sequences, tokens, last_only)
        self._steps.append(size)
        known = self._templates.get(size)
        self._template = self._templates.setdefault(size, []) if known is None else None
        self._reserve(len(known or ()))

    def pack(self, q: np.ndarray) -> np.ndarray:
        """The bit-planes of ``q`` int8 [tokens, K]; they are counted for the row of the ``linear`` that follows."""
        planes = np.empty((q.shape[0], 8, -(-q.shape[1] // 64)), np.uint64)
        if self.enabled:
            if self._template is not None:
                self._reserve(1)
            pack_and_count(q, planes, self._counts[self._used])
        else:
            pack_planes(q, planes)
        return planes

    def linear(self, layer: int, name: str, linear: Linear, tokens: int, out_bits: int, clipped: int) -> None:
        """A matrix product ran on ``tokens`` tokens, whose activations went through ``pack``."""
        if not self.enabled:
            return
        if self._template is not None:
            dense_planes = self._model.precision.head_planes if name == "lm_head" else 8
            self._append(layer, name, "linear", linear_shape(linear, tokens, out_bits, dense_planes))
        if clipped:
            self._counts[self._used, _CLIPPED] = clipped
        self._used += 1

    def vector(self, layer: int, name: str, kind: Kind, clipped: int, shape: Callable[[], Shape]) -> None:
        """An operation on vectors ran; ``shape`` gives the rest of its row when it is needed."""
        if not self.enabled:
            return
        if self._template is not None:
            self._append(layer, name, kind, shape())
        if clipped:
            self._counts[self._used, _CLIPPED] = clipped
        self._used += 1

    def clipped(self, count: int) -> None:
        """The operation recorded last clipped ``count`` values more: its output was added to the residual."""
        if self.enabled and count:
            self._counts[self._used - 1, _CLIPPED] += count

    def _reserve(self, rows: int) -> None:
        """Room for ``rows`` more: by the step where its rows are known, else by the row."""
        while self._used + rows > len(self._counts):
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))

    def _append(self, layer: int, name: str, kind: Kind, shape: Shape) -> None:
        sequences, tokens, _ = self._steps[-1]
        assert self._template is not None
        self._reserve(1)
        place: Shape = {"step": 0, "layer": layer, "name": name, "kind": kind, "sequences": sequences, "tokens": tokens}
        self._template.append(Op(**(place | shape)))

    def trace(self, phase: Literal["prefill", "decode", "run"], prompt_length: int, new_tokens: int) -> Trace:
        """Everything recorded so far as a trace.

        Raises ``ValueError`` where nothing was recorded.
        """
        if not self._steps:
            raise ValueError("nothing was recorded: run a step with this recorder, made with enabled=True, first")
        model = self._model
        metadata = Metadata(
            model=model.config.name,
            phase=phase,
            batch=max(sequences for sequences, _, _ in self._steps),
            prompt_length=prompt_length,
            new_tokens=new_tokens,
            precision=asdict(model.precision),
            recorded=True,
            versions={"xnorscan": version("xnorscan"), "numba": version("numba"), "numpy": version("numpy")},
        )
        return Trace.from_frame(self._frame(), metadata)

    def _frame(self) -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        places: dict[Size, np.ndarray] = {}
        for size, ops in self._templates.items():
            places[size] = np.arange(len(rows), len(rows) + len(ops))
            rows += [vars(op) for op in ops]
        frame = pd.DataFrame(rows).iloc[np.concatenate([places[size] for size in self._steps])].reset_index(drop=True)
        frame["step"] = np.repeat(np.arange(len(self._steps)), [places[size].size for size in self._steps])
        counts = self._counts[: self._used]
        is_linear = (frame["kind"] == "linear").to_numpy()
        lanes = (frame["tokens"] * frame["inputs"]).to_numpy()[:, None]
        pairs = (64 * frame["tokens"] * ((frame["inputs"] - 1) // 64).clip(lower=0)).to_numpy()[:, None]
        density = counts[:, ONES] / np.maximum(lanes, 1)
        toggle = counts[:, TOGGLES] / np.maximum(pairs, 1)
        frame["density"] = pd.Series(_shares(density, is_linear), dtype=object)
        frame["toggle"] = pd.Series(_shares(toggle, is_linear), dtype=object)
        frame["saturations"] = pd.array(counts[:, _CLIPPED], dtype="Int64")
        frame["max_abs"] = pd.array(np.where(is_linear, counts[:, MAX_ABS], -1), dtype="Int64")
        frame.loc[~is_linear, "max_abs"] = pd.NA
        return frame


def linear_shape(linear: Linear, tokens: int, out_bits: int, dense_planes: int) -> Shape:
    """Row of a linear: packed planes, α and β at 16 bit; or ``dense_planes`` planes and one row scale at 16 bit."""
    binary = isinstance(linear, BinaryLinear)
    planes = linear.planes.shape[0] if isinstance(linear, BinaryLinear) else dense_planes
    scales = 2 * linear.inputs if binary else linear.outputs
    return {
        "tokens": tokens,
        "outputs": linear.outputs,
        "inputs": linear.inputs,
        "weight_planes": planes,
        "activation_bits": 8,
        "weight_bytes": bytes_of(linear.outputs * linear.inputs * planes, 1) + bytes_of(scales, SCALE_BITS),
        "input_bytes": tokens * linear.inputs,
        "output_bytes": bytes_of(tokens * linear.outputs, out_bits),
    }


def embedding_shape(table: np.ndarray, tokens: int, planes: int) -> Shape:
    """Row of the embedding: the fetched rows with their scales; the table itself counts at the tied head."""
    vocabulary, channels = table.shape
    return {
        "outputs": channels,
        "inputs": vocabulary,
        "weight_planes": planes,
        "input_bytes": tokens * (bytes_of(channels, planes) + SCALE_BITS // 8),
        "output_bytes": bytes_of(tokens * channels, RESIDUAL_BITS),
    }


def rmsnorm_shape(x: np.ndarray) -> Shape:
    """Row of an RMSNorm on the residual ``x`` [tokens, K]."""
    tokens, channels = x.shape
    return _channels(channels, RESIDUAL_BITS) | {
        "tokens": tokens,
        "weight_bytes": bytes_of(channels, SCALE_BITS),
        "input_bytes": bytes_of(x.size, RESIDUAL_BITS),
        "output_bytes": bytes_of(x.size, VECTOR_BITS),
    }


def gate_shape(y: np.ndarray, weighted: bool) -> Shape:
    """Row of a gate on ``y`` [tokens, K], with a norm weight or without."""
    return _channels(y.shape[1], VECTOR_BITS) | {
        "weight_bytes": bytes_of(y.shape[1], SCALE_BITS) if weighted else 0,
        "input_bytes": bytes_of(2 * y.size, VECTOR_BITS),
        "output_bytes": bytes_of(y.size, VECTOR_BITS),
    }


def conv_shape(out: np.ndarray, tail: np.ndarray) -> Shape:
    """Row of a convolution: ``out`` [sequences, length, channels], ``tail`` [sequences, channels, taps − 1]."""
    channels, taps = tail.shape[1], tail.shape[2] + 1
    state = bytes_of(tail.size, VECTOR_BITS)
    return {
        "outputs": channels,
        "inputs": taps,
        "activation_bits": VECTOR_BITS,
        "state_bits": VECTOR_BITS,
        "weight_bytes": bytes_of(channels * (taps + 1), SCALE_BITS),
        "input_bytes": bytes_of(out.size, VECTOR_BITS),
        "output_bytes": bytes_of(out.size, VECTOR_BITS),
        "state_read_bytes": state,
        "state_write_bytes": state,
    }


def scan_shape(state: np.ndarray, state_bits: int, inputs: int, constants: int, out: np.ndarray) -> Shape:
    """Row of a scan: ``state`` [sequences, heads, (headdim,) d_state]; ``inputs``, ``constants``: values read."""
    moved = bytes_of(state.size, state_bits)
    return _channels(out.shape[-1], VECTOR_BITS) | {
        "heads": state.shape[1],
        "headdim": state.shape[2] if state.ndim == 4 else 1,
        "d_state": state.shape[-1],
        "state_bits": state_bits,
        "weight_bytes": bytes_of(constants, SCALE_BITS),
        "input_bytes": bytes_of(inputs, VECTOR_BITS),
        "output_bytes": bytes_of(out.size, VECTOR_BITS),
        "state_read_bytes": moved,
        "state_write_bytes": moved,
    }


def _channels(channels: int, bits: int) -> Shape:
    return {"outputs": channels, "inputs": channels, "activation_bits": bits}


def _shares(values: np.ndarray, present: np.ndarray) -> list[tuple[float, ...] | None]:
    """Each row of ``values`` as a tuple where ``present``, else ``None``."""
    rows = map(tuple, values[present].astype(np.float32).tolist())
    return [next(rows) if there else None for there in present.tolist()]
