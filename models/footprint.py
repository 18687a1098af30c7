"""What a model occupies when the hardware holds all of it: weights as packed, and the state of its sequences."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .config import ModelConfig
from .linears import head_linear, layer_linears
from .precision import SCALE_BITS, VECTOR_BITS, Precision
from .published import parameter_counts

KV_BITS = 16
"""Width of the keys and values that attention keeps."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Bits by what they hold.

    ``one_bit``: planes of the binarized weights. ``int8``: unbinarized linears inside the layers, eight planes.
    ``scales``: α and β per input channel, and a scale per row of every other linear and of the table.
    ``embedding``, ``head``: planes of the table and of an untied head (0 when tied). ``other``: norms, convolution,
    A, D and dt bias. ``scan_state``, ``conv_state``, ``kv_cache``: of all sequences.
    """

    one_bit: int
    int8: int
    scales: int
    embedding: int
    head: int
    other: int
    scan_state: int
    conv_state: int
    kv_cache: int

    @property
    def weight_bits(self) -> int:
        """Everything that does not change while the model runs."""
        return self.one_bit + self.int8 + self.scales + self.embedding + self.head + self.other

    @property
    def state_bits(self) -> int:
        """Everything that a token changes."""
        return self.scan_state + self.conv_state + self.kv_cache

    @property
    def bits(self) -> int:
        """Weights and state."""
        return self.weight_bits + self.state_bits

    def parts_in_bytes(self) -> dict[str, int]:
        """Bytes of each part, by field name, each rounded up."""
        return {part: -(-bits // 8) for part, bits in asdict(self).items()}


def footprint(
    config: ModelConfig, precision: Precision | None = None, *, sequences: int = 1, context: int = 0
) -> Footprint:
    """The footprint of ``config`` with ``sequences`` running, each with ``context`` tokens behind it.

    Recurrent state does not grow with ``context``; a KV cache does. The convolution keeps d_conv − 1 samples.
    Raises ``ValueError`` where ``sequences`` or ``context`` is out of range.
    """
    precision = precision or Precision()
    if sequences < 1:
        raise ValueError(f"sequences is {sequences}, it must be at least 1")
    if context < 0:
        raise ValueError(f"context is {context}, it must be at least 0")
    counts = parameter_counts(config)
    row_scales = config.layers * sum(linear.outputs for linear in layer_linears(config) if not linear.binarized)
    row_scales += config.vocab_size * (1 if config.tie_embeddings else 2)
    recurrent = config.layers * sequences * config.d_inner
    attended = context if config.family == "llama" else 0
    return Footprint(
        one_bit=counts.binarized,
        int8=8 * counts.linear,
        scales=SCALE_BITS * (counts.scales + row_scales),
        embedding=head_linear(config).weights * precision.head_planes,
        head=counts.head * precision.head_planes,
        other=SCALE_BITS * counts.other,
        scan_state=recurrent * config.d_state * precision.state_bits,
        conv_state=config.layers * sequences * config.conv_dim * max(0, config.d_conv - 1) * VECTOR_BITS,
        kv_cache=config.layers * sequences * attended * 2 * config.d_model * KV_BITS,
    )
