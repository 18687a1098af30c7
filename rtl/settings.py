"""The layers that an engine runs: ``EngineConfig``, its sizes, and ``layer_settings``, what a layer writes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..designs.design import OneBitDesign
from .config import ArrayConfig, CoreConfig

if TYPE_CHECKING:
    from .back_config import BackConfig
    from .front_config import FrontConfig

PLANES_LIMIT = 4
"""Coefficients that have a register."""
INPUTS_BITS = 18
TILES_BITS = 16
"""Width of the counters of token tiles and of output tiles."""
ROWS_BITS = 24
"""Width of the counts of tokens and of outputs."""
COEFFICIENT_BITS = 16
LONE_COEFFICIENTS = (1, 2)
"""Coefficients of an engine of one plane, which has no multipliers for them: 2 for activations of ±1."""
EXPONENT_LIMIT = 63
"""Greatest magnitude of the two exponents."""
SERIAL_BITS = (1, 2, 4, 8)
PARALLEL_BITS = (8,)
RESULT_BITS = (18, 24, 32)


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Sizes of an engine that software can read back.

    ``core``: the array and its memories; ``output_tiles_max``: depth of the offset memory, in words of ``cols``
    offsets; ``vector_lanes``: inputs that the quantizer takes a cycle; ``planes_max`` and ``quantizer``: as in a
    design's ``rtl`` options.

    Raises ``ValueError`` for a size that cannot be built, saying what would be right.
    """

    core: CoreConfig
    output_tiles_max: int
    vector_lanes: int
    planes_max: int = 1
    quantizer: Literal["pow2", "absmax"] = "pow2"

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "lanes"):
            _within(name, getattr(self.array, name), 1, (1 << TILES_BITS) - 1)
        _within("inputs_max", self.array.inputs_max, 1, (1 << INPUTS_BITS) - 1)
        _within("output_tiles_max", self.output_tiles_max, 1, min(self.core.weight_words, (1 << TILES_BITS) - 1))
        _within("planes_max", self.planes_max, 1, PLANES_LIMIT)
        _within("vector_lanes", self.vector_lanes, 1, self.array.lanes)
        if self.vector_lanes & (self.vector_lanes - 1):
            raise ValueError(f"vector_lanes is {self.vector_lanes}, it must be a power of two")
        if self.quantizer not in ("pow2", "absmax"):
            raise ValueError(f"quantizer is {self.quantizer!r}, it must be pow2 or absmax")

    @classmethod
    def of_design(cls, design: OneBitDesign) -> EngineConfig:
        """The engine of ``design``. Raises as the configurations do.

        Its offset memory holds ``outputs_max`` outputs, or as many as there are weights for.
        """
        core = CoreConfig.of_design(design)
        return cls(
            core=core,
            output_tiles_max=min(-(-design.rtl.outputs_max // design.cols), core.weight_words, (1 << TILES_BITS) - 1),
            vector_lanes=min(design.vector_lanes, design.lanes),
            planes_max=design.rtl.planes_max,
            quantizer=design.rtl.quantizer,
        )

    @property
    def array(self) -> ArrayConfig:
        """The array."""
        return self.core.array

    # The two below have widths made of the constants above, so they are imported where they are made.

    @property
    def front(self) -> FrontConfig:
        """The front end."""
        from .front_config import FrontConfig

        return FrontConfig(
            lanes=self.vector_lanes,
            inputs_max=self.array.inputs_max,
            quantizer=self.quantizer,
            tech=self.array.tech,
        )

    @property
    def back(self) -> BackConfig:
        """The back end, with records for two token tiles at least: one is filled while the other is read."""
        from .back_config import BackConfig

        return BackConfig(
            array=self.array,
            output_tiles_max=self.output_tiles_max,
            tokens_max=1 << (2 * self.array.rows - 1).bit_length(),
            planes_max=self.planes_max,
            quantizer=self.quantizer,
        )

    @property
    def activation_bits(self) -> tuple[int, ...]:
        """Widths of activations that a layer may have."""
        return SERIAL_BITS if self.array.activations == "serial" else PARALLEL_BITS


def layer_settings(
    config: EngineConfig,
    *,
    inputs: int,
    outputs: int,
    tokens: int,
    planes: int = 1,
    bits: int = 8,
    coefficients: Sequence[int] = (1,),
    exponent: int = 0,
    bias_exponent: int = 0,
    result_bits: int = 18,
) -> dict[str, int]:
    """Every setting of a layer of ``inputs`` (K) → ``outputs`` for ``tokens``, by the name of its register.

        words = ceil(inputs / lanes)      output_tiles = ceil(outputs / cols)      token_tiles = ceil(tokens / rows)
        last_height = tokens − (token_tiles − 1)·rows       slots = activation_words div (words · (bits if serial))

    more slots than token tiles have no use. ``coefficients``: one signed 16-bit integer per plane, 1 or 2
    where the engine has one plane only.

    Raises ``ValueError`` of one line for a layer that this engine cannot run.
    """
    array = config.array
    _within("inputs", inputs, 1, array.inputs_max)
    _within("outputs", outputs, 1, (1 << ROWS_BITS) - 1)
    _within("tokens", tokens, 1, (1 << ROWS_BITS) - 1)
    _within("planes", planes, 1, config.planes_max)
    _one_of("bits", bits, config.activation_bits)
    _one_of("result_bits", result_bits, RESULT_BITS)
    _within("exponent", exponent, -EXPONENT_LIMIT, EXPONENT_LIMIT)
    _within("bias_exponent", bias_exponent, -EXPONENT_LIMIT, EXPONENT_LIMIT)
    if len(coefficients) != planes:
        raise ValueError(f"{len(coefficients)} coefficients for {planes} planes, there must be one per plane")
    for coefficient in coefficients:
        if config.planes_max == 1:
            _one_of("coefficient", coefficient, LONE_COEFFICIENTS)
        _within("coefficient", coefficient, -(1 << COEFFICIENT_BITS - 1), (1 << COEFFICIENT_BITS - 1) - 1)

    words, output_tiles, token_tiles = -(-inputs // array.lanes), -(-outputs // array.cols), -(-tokens // array.rows)
    _within("output tiles", output_tiles, 1, config.output_tiles_max)
    _within("token tiles", token_tiles, 1, (1 << TILES_BITS) - 1)
    _within("weight words (output tiles × planes × words)", output_tiles * planes * words, 1, config.core.weight_words)
    stride = words * (bits if array.activations == "serial" else 1)
    _within("activation words of one token tile", stride, 1, config.core.activation_words)
    padded = [*coefficients, *[0] * (PLANES_LIMIT - planes)]
    return {
        "inputs": inputs,
        "outputs": outputs,
        "tokens": tokens,
        "words": words,
        "bits": bits,
        "planes": planes,
        "output_tiles": output_tiles,
        "token_tiles": token_tiles,
        "last_height": tokens - (token_tiles - 1) * array.rows,
        "slots": min(config.core.activation_words // stride, token_tiles),
        **{f"coefficient_{plane}": value for plane, value in enumerate(padded)},
        "exponent": exponent,
        "bias_exponent": bias_exponent,
        "result_bits": result_bits,
    }


def _within(name: str, value: int, least: int, greatest: int) -> None:
    if not least <= value <= greatest:
        raise ValueError(f"{name} is {value}, it must be from {least} to {greatest}")


def _one_of(name: str, value: int, choices: tuple[int, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value}, it must be {' or '.join(map(str, choices))}")
