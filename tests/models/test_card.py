"""The figures of a model card: the twin's bits per byte of a whole file."""

from __future__ import annotations

import numpy as np
import pytest

from oracles.mamba2 import bits_per_symbol, chunked_scan, language_model, weights_from
from xnorscan.models.config import ModelConfig
from xnorscan.models.training.corpus import SourceFile

torch = pytest.importorskip("torch")
from xnorscan.models.training.card import TORCH_WINDOW, network_bits_per_byte  # noqa: E402 - it imports torch
from xnorscan.models.training.network import CHUNK, Network  # noqa: E402

CONFIG = ModelConfig(
    name="generated", family="mamba2", binarized=False, d_model=16, layers=1, vocab_size=256,
    expand=2, d_state=4, d_conv=4, headdim=16, ngroups=1,
)  # fmt: skip


@pytest.mark.parametrize(
    "size", [1, CHUNK - 1, CHUNK, CHUNK + 1, TORCH_WINDOW, TORCH_WINDOW + 1, 2 * TORCH_WINDOW + 70]
)
def test_bits_per_byte_of_a_file_are_the_published_models(size: int) -> None:
    """Every byte counts once, from a zero state, whatever part of a window the file ends in."""
    torch.manual_seed(40)
    net = Network(CONFIG)
    net.backbone.embedding.weight.data *= 20
    tensors = {name.removeprefix("backbone."): value.numpy() for name, value in net.state_dict().items()}
    linears = {name.removesuffix(".weight"): value for name, value in tensors.items() if name.endswith("_proj.weight")}
    data = np.random.default_rng(41).integers(0, 256, size)
    ids = np.concatenate([[0], data[:-1]])
    logits, _ = language_model(weights_from(CONFIG, tensors, linears), ids, scan=chunked_scan)
    got = network_bits_per_byte(net, SourceFile("generated.py", bytes(data.tolist())))
    assert got == pytest.approx(bits_per_symbol(logits, data), rel=1e-5)
