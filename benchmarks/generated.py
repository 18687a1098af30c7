"""Packed models of any Mamba size with generated weights, for measuring time and memory: they say nothing."""

from __future__ import annotations

import numpy as np

from xnorscan.models.config import ModelConfig
from xnorscan.models.layout import layout
from xnorscan.models.packed import PackedLinear, PackedModel
from xnorscan.models.packing import WORD_BITS, words_for

ROWS = 1024
"""Rows generated at once, so that no float64 copy of a whole table is ever made."""


def generated_model(config: ModelConfig, seed: int = 0) -> PackedModel:
    """Random planes, α near 1/√inputs, norms of one, time steps around 0.02; big tables in float16."""
    rng = np.random.default_rng(seed)
    parts = layout(config)
    linears = {name: _linear(rng, outputs, inputs) for name, (outputs, inputs) in parts.linears.items()}
    tensors = {name: _tensor(rng, name, shape) for name, shape in parts.tensors.items()}
    return PackedModel(config, linears, tensors, {"source": f"generated from seed {seed}"})


def _linear(rng: np.random.Generator, outputs: int, inputs: int) -> PackedLinear:
    planes = rng.integers(0, 1 << 64, (1, outputs, words_for(inputs)), np.uint64)
    planes[..., -1] &= np.uint64((1 << 64) - 1) >> np.uint64(-inputs % WORD_BITS)
    scale = np.float32(inputs**-0.5)
    return PackedLinear(
        planes=planes,
        inputs=inputs,
        coefficients=np.ones(1, np.float32),
        pre=rng.uniform(0.5, 1.5, inputs).astype(np.float32) * scale,
        shift=rng.normal(0, 0.1, inputs).astype(np.float32) * scale,
    )


def _tensor(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("A_log"):
        return np.log(rng.uniform(1, 16, shape)).astype(np.float32)
    if name.endswith(("dt_bias", "dt_proj.bias")):
        return rng.normal(-4, 1, shape).astype(np.float32)
    if name.endswith(("norm.weight", "norm_f.weight", ".D")):
        return np.ones(shape, np.float32)
    if name.endswith("conv1d.weight"):
        return rng.normal(0, 0.5, shape).astype(np.float32)
    values = np.empty(shape, np.float16)
    for start in range(0, shape[0], ROWS):
        part = values[start : start + ROWS]
        part[...] = rng.standard_normal(part.shape, np.float32) * np.float32(shape[-1] ** -0.5)
    return values
