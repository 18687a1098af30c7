"""From cost frames to what a report shows: energy by component and by kind of layer, DRAM traffic by what it is.

Names of the parts are data, so that a table, a figure and a sentence about the same thing use the same word.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..models.config import ModelConfig
from ..models.footprint import footprint
from ..models.precision import Precision
from ..models.published import parameter_counts
from ..traces.trace import Trace

ONE_BIT, FP16 = "one-bit", "FP16"
GPU, GPU_ACHIEVED, CPU = "GPU", "GPU as used", "CPU"
TWIN_ROLES: Mapping[str, str] = {
    "fp16": FP16,
    "fp16-area": "FP16, equal area",
    "w8a8": "W8A8",
    "w8a8-area": "W8A8, equal area",
    "w4a16": "W4A16",
    "w4a16-area": "W4A16, equal area",
}
"""Roles of the baselines on a design's own memory system, by what stands behind the slash of their names: of equal
peak throughput where nothing is said."""
PAIR_ROLES = (ONE_BIT, FP16)
"""A design and the baseline that the headline, the main table and the figures compare it with."""
ELSEWHERE = (GPU, GPU_ACHIEVED, CPU)
"""Roles on other memory systems: no ratio is formed with them."""

LINEAR = "DRAM: linear weights"
HEAD = "DRAM: embedding and head"
STATE = "DRAM: state"
OTHER_DRAM = "DRAM: activations and rest"
SRAM = "on-chip memory"
ARRAY = "array"
VECTOR = "vector units and scan"
LEAKAGE = "leakage"
PARTS = (LINEAR, HEAD, STATE, OTHER_DRAM, SRAM, ARRAY, VECTOR, LEAKAGE)
"""Components of the energy in drawing order; DRAM energy is split by the bytes that caused it."""

BINARY = "binary weights"
SCALES = "scales α, β"
REST = "activations and rest"
TRAFFIC_PARTS = (BINARY, "embedding and head", "state", SCALES, "other linears", REST)

MEMORY_PARTS = ("linear weights", SCALES, "embedding and head", "other", "state")

KIND_GROUPS: Mapping[str, tuple[str, ...]] = {
    "projections": ("linear",),
    "head and embedding": ("embedding", "head"),
    "scan": ("scan",),
    "attention": ("attention", "rope"),
    "convolution": ("conv1d",),
    "norms and gates": ("rmsnorm", "gate", "gated_rmsnorm", "swiglu"),
}
"""Kinds of operation (:data:`xnorscan.traces.op.KINDS`, the head apart from the other linears) by the word for them."""

_COMPONENT_COLUMNS = {
    SRAM: ("energy_sram_pj",),
    ARRAY: ("energy_array_pj",),
    VECTOR: ("energy_vector_pj", "energy_scan_pj"),
    LEAKAGE: ("energy_leakage_pj",),
}


def energy_parts(costs: pd.DataFrame) -> pd.DataFrame:
    """Energy of a cost frame of one design by component: columns ``part`` (:data:`PARTS`), ``energy_uj``.

    ``costs``: rows of :func:`xnorscan.energy_models.cost.cost`.
    """
    weights, state, other = _dram_split(costs)
    dram = costs["energy_dram_pj"].to_numpy(float)
    embedding, head, linear = _places(costs)
    sums = {
        LINEAR: (dram * weights)[linear].sum(),
        HEAD: (dram * weights)[head | embedding].sum() + (dram * other)[embedding].sum(),
        STATE: (dram * state).sum(),
    }
    sums[OTHER_DRAM] = dram.sum() - sum(sums.values())
    for part, columns in _COMPONENT_COLUMNS.items():
        sums[part] = sum(costs[c].sum() for c in columns)
    return pd.DataFrame({"part": PARTS, "energy_uj": [float(max(sums[p], 0.0)) * 1e-6 for p in PARTS]})


def ratio_with_fp16_head(costs: pd.DataFrame, design: str, baseline: str) -> float:
    """Energy of ``baseline`` over energy of ``design``, embedding and head at the price of ``baseline`` in both.

    ``costs``: a cost frame in which ``baseline`` is an FP16 array.
    """
    embedding, head, _ = _places(costs)
    table = costs["energy_pj"].where(embedding | head, 0.0).groupby(costs["design"]).sum()
    whole = costs.groupby("design")["energy_pj"].sum()
    return float(whole[baseline] / (whole[design] - table[design] + table[baseline]))


def energy_kinds(costs: pd.DataFrame) -> pd.DataFrame:
    """Energy of a cost frame of one design by kind of layer: ``kind`` (of :data:`KIND_GROUPS`), ``energy_uj``."""
    kind = costs["kind"].where(~_places(costs)[1], "head")
    group = {k: name for name, kinds in KIND_GROUPS.items() for k in kinds}
    sums = costs["energy_pj"].groupby(kind.map(group)).sum() * 1e-6
    return pd.DataFrame({"kind": list(KIND_GROUPS), "energy_uj": [float(sums.get(k, 0.0)) for k in KIND_GROUPS]})


def dram_traffic(costs: pd.DataFrame, trace: Trace) -> pd.DataFrame:
    """DRAM bytes of a cost frame of one design by what they are: columns ``part`` (:data:`TRAFFIC_PARTS`), ``bytes``.

    ``trace`` is the one that was costed; it says which linears have one-bit planes and how many bytes are scales.
    """
    linears = trace.ops[trace.ops["kind"] == "linear"].drop_duplicates("name").set_index("name")
    embedding, head, linear = _places(costs)
    one_bit = linear & costs["name"].isin(linears.index[linears["weight_planes"] == 1]).to_numpy()
    planes = -(-linears["outputs"] * linears["inputs"] * linears["weight_planes"] // 8)
    plane_share = costs["name"].map((planes / linears["weight_bytes"]).clip(upper=1.0)).fillna(0.0).to_numpy(float)
    weights = costs["dram_weight_bytes"].to_numpy(float)
    total, state = (float(costs[c].sum()) for c in ("dram_bytes", "dram_state_bytes"))
    sums = {
        BINARY: float((weights * plane_share)[one_bit].sum()),
        SCALES: float((weights * (1 - plane_share))[one_bit].sum()),
        "embedding and head": float(weights[head].sum() + costs["dram_bytes"].to_numpy(float)[embedding].sum()),
        "state": state,
        "other linears": float(weights[linear & ~one_bit].sum()),
    }
    sums[REST] = max(0.0, total - sum(sums.values()))
    return pd.DataFrame({"part": TRAFFIC_PARTS, "bytes": [sums[p] for p in TRAFFIC_PARTS]})


def memory_parts(config: ModelConfig, precision: Precision) -> pd.DataFrame:
    """What ``config`` occupies with one sequence, packed and in FP16: columns ``role``, ``part``, ``bytes``."""
    packed = footprint(config, precision)
    counts = parameter_counts(config)
    state = config.layers * (config.d_inner * config.d_state + config.conv_dim * max(0, config.d_conv - 1))
    bits = {
        ONE_BIT: (
            packed.one_bit + packed.int8,
            packed.scales,
            packed.embedding + packed.head,
            packed.other,
            packed.state_bits,
        ),
        FP16: (
            16 * (counts.binarized + counts.linear),
            0,
            16 * (counts.embedding + counts.head),
            16 * counts.other,
            16 * state,
        ),
    }
    return pd.DataFrame(
        [
            {"role": r, "part": p, "bytes": b / 8}
            for r, each in bits.items()
            for p, b in zip(MEMORY_PARTS, each, strict=True)
        ]
    )


def _places(costs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks over the rows: the embedding, the head (the linear outside the layers), the linears inside them."""
    linear = costs["kind"].eq("linear").to_numpy()
    inside = costs["layer"].ge(0).to_numpy()
    return costs["kind"].eq("embedding").to_numpy(), linear & ~inside, linear & inside


def _dram_split(costs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    total = costs["dram_bytes"].to_numpy(float)
    safe = np.where(total > 0, total, 1.0)
    weights = costs["dram_weight_bytes"].to_numpy(float) / safe
    state = costs["dram_state_bytes"].to_numpy(float) / safe
    return weights, state, np.clip(1 - weights - state, 0, 1) * (total > 0)


def label(model: str) -> str:
    """A model's name as a reader writes it: ``bi-mamba-2.7b`` is ``Bi-Mamba 2.7B``."""
    for prefix, name in (
        ("bi-mamba-", "Bi-Mamba "),
        ("fbi-llm-", "FBI-LLM "),
        ("mamba2-", "Mamba-2 "),
        ("mamba-", "Mamba "),
    ):
        if model.startswith(prefix):
            size, _, rest = model[len(prefix) :].partition("-")
            return name + size.upper() + (f" ({rest})" if rest else "")
    return model


def family(model: str) -> str:
    """The label without the size."""
    return label(model).partition(" ")[0]
