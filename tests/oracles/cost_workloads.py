"""Operations, traces and a design that the tests of energy_models share."""

from __future__ import annotations

from functools import cache

from xnorscan.designs.design import OneBitDesign
from xnorscan.energy_models.ops import Ops
from xnorscan.models.operations import shape_trace
from xnorscan.models.published import get_config
from xnorscan.traces.op import Op
from xnorscan.traces.trace import Metadata, Trace


def trace_of(*rows: Op) -> Trace:
    return Trace.from_ops(rows, Metadata(model="made", phase="decode"))


def ops_of(*rows: Op) -> Ops:
    return Ops.from_frame(trace_of(*rows).ops)


def linear(tokens: int = 1, outputs: int = 8, inputs: int = 8, planes: int = 1, bits: int = 8, **more: object) -> Op:
    """A linear as a model records it, bytes included."""
    fields: dict[str, object] = {
        "step": 0, "layer": 0, "name": "in_proj", "kind": "linear", "sequences": 1, "tokens": tokens,
        "outputs": outputs, "inputs": inputs, "weight_planes": planes, "activation_bits": bits,
        "weight_bytes": -(-outputs * inputs * planes // 8), "input_bytes": -(-tokens * inputs * bits // 8),
        "output_bytes": -(-tokens * outputs * 18 // 8),
    }  # fmt: skip
    return Op(**(fields | more))


def scan(tokens: int = 1, heads: int = 2, headdim: int = 4, d_state: int = 8, sequences: int = 1, **more: object) -> Op:
    """A Mamba-2 scan with 16-bit state."""
    channels, state = heads * headdim, sequences * heads * headdim * d_state * 2
    fields: dict[str, object] = {
        "step": 0, "layer": 0, "name": "scan", "kind": "scan", "sequences": sequences, "tokens": tokens,
        "outputs": channels, "inputs": channels, "heads": heads, "headdim": headdim, "d_state": d_state,
        "activation_bits": 18, "state_bits": 16, "weight_bytes": 6 * heads,
        "input_bytes": -(-tokens * (channels + 2 * d_state + heads) * 18 // 8),
        "output_bytes": -(-tokens * channels * 18 // 8),
        "state_read_bytes": state, "state_write_bytes": state,
    }  # fmt: skip
    return Op(**(fields | more))


@cache
def model_trace(name: str, phase: str = "decode", length: int = 512, batch: int = 1) -> Trace:
    """The shape-only trace of a published model."""
    return shape_trace(get_config(name), phase=phase, length=length, batch=batch)


def array(**changes: object) -> OneBitDesign:
    """A small one-bit design with DRAM, for changes."""
    fields: dict[str, object] = {
        "name": "mine", "rows": 4, "cols": 8, "lanes": 16, "activations": "parallel", "vector_lanes": 4,
        "scan_lanes": 8, "clock_mhz": 100, "weight_memory_kib": 4, "activation_memory_kib": 4, "state_memory_kib": 4,
        "dram": {"kind": "lpddr4", "bandwidth_gb_per_s": 1.0}, "technology": "asic-28nm",
    }  # fmt: skip
    return OneBitDesign.model_validate(fields | changes)
