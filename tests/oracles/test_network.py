"""The network that is trained against the published equations, window after window.

Float32 and the chunked form there, float64 and the recurrence here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pytest

from oracles.fbi_linear import fbi_linear_factored, signs_of
from oracles.mamba2 import LayerState, Weights, language_model, weights_from, weights_from_packed
from oracles.quantizers import quantize_pow2
from oracles.random_models import pack_fbi_linear, random_packed_model
from xnorscan.models.config import ModelConfig
from xnorscan.models.packed import PackedModel

torch = pytest.importorskip("torch")
from xnorscan.models.training import network  # noqa: E402 - it imports torch

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 2 * network.CHUNK
BATCH = 3


def config(binarized: bool) -> ModelConfig:
    """Two layers of 4 heads; out_proj's 80 inputs fill one packed word and part of another; 29 symbols."""
    return ModelConfig(
        name="generated", family="mamba2", binarized=binarized, d_model=40, layers=2, vocab_size=29,
        expand=2, d_state=8, d_conv=4, headdim=20, ngroups=1,
    )  # fmt: skip


def random_network(binarized: bool) -> network.Network:
    """A network whose every parameter is drawn from a seed: none keeps a 1 that would hide it, as D and norms do."""
    drawn = random_packed_model(config(binarized=False), 30).tensors
    net = network.Network(config(binarized))
    state = {f"backbone.{name}": torch.from_numpy(tensor) for name, tensor in drawn.items()}
    net.load_state_dict({name: value for name, value in state.items() if "_proj." not in name}, strict=False)
    for name, module in net.named_modules():
        if name.endswith("_proj"):
            weight = state[f"{name}.weight"]
            if binarized:
                module.init_from(weight - 0.3 * weight.mean())
            else:
                module.weight.data.copy_(weight)
    return net


def arrays(net: network.Network) -> dict[str, np.ndarray]:
    """The network's parameters by their published names without "backbone."."""
    return {name.removeprefix("backbone."): value.numpy() for name, value in net.state_dict().items()}


def dense_weights(net: network.Network) -> Weights:
    """The oracle's parameters straight from the latents: W~ = α·S + β."""
    tensors = arrays(net)
    linears = {name.removesuffix(".weight"): value for name, value in tensors.items() if name.endswith("_proj.weight")}
    for name, latent in linears.items():
        linears[name] = latent.astype(np.float64)
        if net.config.binarized:
            linears[name] = tensors[f"{name}.wscale"] * signs_of(latent) + tensors[f"{name}.wbias"].astype(np.float64)
    return weights_from(net.config, tensors, linears)


def run_network(net: network.Network, ids: np.ndarray, carry: network.Carry) -> np.ndarray:
    """Logits of one window; the carry moves on."""
    with torch.no_grad():
        logits, carry.tails, carry.states = net(torch.from_numpy(ids), carry.tails, carry.states)
    return np.asarray(logits.numpy(), np.float64)


@pytest.mark.parametrize("binarized", [True, False])
def test_network_is_the_published_model_from_window_to_window(binarized: bool) -> None:
    net = random_network(binarized)
    weights = dense_weights(net)
    ids = np.random.default_rng(31).integers(0, 29, (BATCH, 3 * WINDOW))
    carry = network.Carry.zeros(net.config, BATCH)
    got = np.concatenate([run_network(net, part, carry) for part in np.split(ids, 3, axis=1)], axis=1)
    for row in range(BATCH):
        logits, states = language_model(weights, ids[row])
        assert logits.std() > 0.5, "the logits must say something"
        assert np.abs(got[row] - logits).max() < 1e-4 * np.abs(logits).max()
        assert_carry(carry, row, states)


def test_reset_starts_a_new_text_in_its_row_alone() -> None:
    net = random_network(binarized=True)
    weights = dense_weights(net)
    ids = np.random.default_rng(32).integers(0, 29, (BATCH, 2 * WINDOW))
    carry = network.Carry.zeros(net.config, BATCH)
    run_network(net, ids[:, :WINDOW], carry)
    carry.reset(torch.tensor([False, True, False]))
    got = run_network(net, ids[:, WINDOW:], carry)
    for row in range(BATCH):
        begin = WINDOW if row == 1 else 0
        logits = language_model(weights, ids[row, begin:])[0][-WINDOW:]
        assert np.abs(got[row] - logits).max() < 1e-4 * np.abs(logits).max()
    assert np.abs(got[1] - language_model(weights, ids[1])[0][-WINDOW:]).max() > 1e-2, "the state must matter"


def assert_carry(carry: network.Carry, row: int, states: list[LayerState]) -> None:
    """The carry holds the oracle's states."""
    for tail, state, expected in zip(carry.tails, carry.states, states, strict=True):
        assert tail[row].numpy() == pytest.approx(expected.history, abs=1e-4)
        assert state[row].numpy() == pytest.approx(expected.scan, abs=1e-4)


def test_packing_the_signs_keeps_the_model() -> None:
    """α, β and one packed plane hold all that the latents do."""
    net = random_network(binarized=True)
    tensors = arrays(net)
    linears = {
        name.removesuffix(".weight"): pack_fbi_linear(signs_of(latent), *_scales(tensors, name))
        for name, latent in tensors.items()
        if name.endswith("_proj.weight")
    }
    others = {name: value for name, value in tensors.items() if "_proj." not in name}
    packed = weights_from_packed(PackedModel(net.config, linears, others, {}))
    ids = np.random.default_rng(33).integers(0, 29, 20)
    logits = language_model(dense_weights(net), ids)[0]
    assert np.abs(language_model(packed, ids)[0] - logits).max() < 1e-12


def _scales(tensors: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    layer = name.removesuffix(".weight")
    return tensors[f"{layer}.wscale"][0], tensors[f"{layer}.wbias"][0]


def linear(seed: int) -> tuple[network.FBILinear, Tensor]:
    """A layer of 70 inputs and a batch of tokens."""
    generator = torch.Generator().manual_seed(seed)
    layer = network.FBILinear(70, 9)
    layer.init_from(torch.randn(9, 70, generator=generator))
    return layer, torch.randn(4, 5, 70, generator=generator)


def test_fbi_linear_starts_as_the_seeds_do() -> None:
    layer, _ = linear(34)
    weight = layer.weight.detach().numpy().astype(np.float64)
    assert layer.wbias.detach().numpy()[0] == pytest.approx(weight.mean(axis=0), abs=1e-6)
    assert layer.wscale.detach().numpy()[0] == pytest.approx(
        np.abs(weight - weight.mean(axis=0)).mean(axis=0), abs=1e-6
    )


@pytest.mark.parametrize("quantized", [True, False])
def test_fbi_linear_is_the_factored_form_of_its_activations(quantized: bool) -> None:
    layer, x = linear(35)
    layer.quantize_activations = quantized
    signs = signs_of(layer.weight.detach().numpy())
    alpha, beta = layer.wscale.detach().numpy()[0], layer.wbias.detach().numpy()[0]
    scaled = (x * torch.from_numpy(alpha)).numpy()
    if quantized:
        q, exponent = quantize_pow2(scaled)
        scaled = np.ldexp(q, exponent[..., None])
    expected = fbi_linear_factored(scaled, signs, np.ones(70), np.zeros(70)) + (x.numpy() @ beta)[..., None]
    assert layer(x).detach().numpy() == pytest.approx(expected, abs=2e-5)
    coarse = fbi_linear_factored(x.numpy(), signs, alpha, beta)
    assert (np.abs(layer(x).detach().numpy() - coarse).max() > 1e-3) == quantized


def test_a_zero_latent_is_minus_one() -> None:
    layer, x = linear(36)
    below = layer(x)
    layer.weight.data[layer.weight < 0] = 0.0
    assert torch.equal(layer(x), below)


def test_fake_quantizer_is_the_quantizer() -> None:
    """Tokens of every magnitude, powers of two and ties included."""
    rng = np.random.default_rng(37)
    x = (rng.normal(size=(500, 16)) * 2.0 ** rng.integers(-12, 12, (500, 1))).astype(np.float32)
    x[:100] = np.round(x[:100] * 2) / 2
    x[:40, 0] = 127 * 2.0 ** np.arange(-20, 20)
    q, exponent = quantize_pow2(x)
    assert network.pow2_quantize(torch.from_numpy(x)).numpy().tolist() == np.ldexp(q, exponent[:, None]).tolist()


def test_gradients_pass_straight_through() -> None:
    """STE: the sign's gradient is 1, so ∂y/∂W[o, i] = α[i]·x[i]; the activation quantizer's is 1 too."""
    layer, x = linear(38)
    layer.quantize_activations = True
    token = x[0, 0].clone().requires_grad_(True)
    layer(token)[0, 3].backward()
    expected = np.zeros((9, 70))
    expected[3] = network.pow2_quantize(x[0, 0] * layer.wscale[0]).detach().numpy()
    assert layer.weight.grad.numpy() == pytest.approx(expected, abs=1e-6)
    signs = signs_of(layer.weight.detach().numpy())
    through = layer.wscale.detach().numpy()[0] * signs[3] + layer.wbias.detach().numpy()[0]
    assert token.grad.numpy() == pytest.approx(through, abs=1e-6)
