"""``Design``: a hardware description. Three kinds, told apart by ``kind``: ``one_bit``, ``fp16_array``, ``gpu``.

A design states sizes, clocks and memories; what an action costs lives in a technology table, chosen by name.

The array (``one_bit`` and ``fp16_array``) is output-stationary: activations of one token enter one of ``rows`` from
the left, weights of one output enter one of ``cols`` from the top, each element takes ``lanes`` of the inputs a cycle.
At batch 1 a decode step has one token, so it uses one row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from .yaml_file import read_yaml, validated

DramKind = Literal["ddr3", "ddr4", "lpddr4", "lpddr5", "hbm2", "hbm3"]
ACTIVATION_BITS = 8
"""Width of the activations for which a peak is quoted (the quantizer of the linears makes 8 bits)."""

_Size = Annotated[int, Field(ge=1, le=1 << 20)]
_Kib = Annotated[int, Field(ge=0, le=1 << 24)]
_Positive = Annotated[float, Field(ge=1e-6, le=1e9, allow_inf_nan=False)]
_PRESETS = Path(__file__).parent / "presets"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Dram(_Value):
    """Off-chip memory: its kind (the key of its energy per bit) and peak bandwidth, 1 GB = 10^9 bytes."""

    kind: DramKind
    bandwidth_gb_per_s: _Positive


class _MemorySystem(_Value):
    """What every kind of design has. Memories of 0 KiB exist nowhere on the chip (1 KiB = 1024 bytes).

    ``weight_memory_kib``: weights that can stay on chip between steps. ``state_memory_kib``: recurrent, convolution and
    KV state that can stay. ``activation_memory_kib``: inputs and outputs of the operation that runs.
    Streaming needs double buffers of one tile, which belong to the array and are not counted in these sizes.
    """

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/+-]*$")]
    description: str = ""
    clock_mhz: _Positive
    weight_memory_kib: _Kib
    activation_memory_kib: _Kib
    state_memory_kib: _Kib
    dram: Dram | None = None

    @property
    def clock_hz(self) -> float:
        """Cycles per second."""
        return self.clock_mhz * 1e6


class _Array(_MemorySystem):
    """What both array kinds have: the array's shape, the vector unit, the scan unit, the technology table: its name,
    or its YAML file, in a design's file relative to that file.

    A vector lane does one pass over one element a cycle; a scan lane advances one state element a cycle.
    """

    rows: _Size
    cols: _Size
    lanes: _Size = 1
    vector_lanes: _Size
    scan_lanes: _Size
    technology: Annotated[str, Field(min_length=1)]


Device = Literal["ecp5-25k", "ecp5-45k", "ecp5-85k", "up5k", "hx8k"]
"""FPGAs on which a design can be placed and routed."""


class RtlOptions(_Value):
    """What the generated hardware needs to know beyond the sizes of the design.

    ``tech``: the primitives it is built of; ``device``: where ``xnorscan synth`` places it if nothing else is said.
    ``inputs_max``: greatest K of a layer; with the number formats it decides every accumulator's width.
    ``planes_max``: greatest number of weight planes with coefficients (1: no coefficient multipliers are built).
    ``cols_per_block``: neighbouring elements of a row that share one activation register; ``rows_per_block``:
    neighbouring elements of a column that share one weight register.
    ``levels_per_stage``: levels of adders between two registers of a dot product.
    ``outputs_max``: greatest number of outputs of a layer, whose offsets stay on chip; a layer with more runs in parts.
    ``quantizer``: scale of the 8-bit activations, as in the simulator.
    ``weight_words``, ``activation_words``: words of the array's memories, where they are not all of
    ``weight_memory_kib`` and ``activation_memory_kib``.
    """

    tech: Literal["generic", "ecp5", "ice40"] = "generic"
    device: Device | None = None
    inputs_max: Annotated[int, Field(ge=1, le=1 << 17)] = 16384
    outputs_max: Annotated[int, Field(ge=1, le=1 << 20)] = 16384
    planes_max: Annotated[int, Field(ge=1, le=4)] = 1
    cols_per_block: Annotated[int, Field(ge=1, le=64)] = 4
    rows_per_block: Annotated[int, Field(ge=1, le=64)] = 1
    levels_per_stage: Annotated[int, Field(ge=1, le=16)] = 1
    quantizer: Literal["pow2", "absmax"] = "pow2"
    weight_words: _Size | None = None
    activation_words: _Size | None = None


class OneBitDesign(_Array):
    """An array of one-bit weights and integer activations.

    ``serial``: a lane is one XNOR into a popcount, an activation of n bits takes n passes.
    ``parallel``: a lane adds or subtracts one whole activation of up to 8 bits.
    A weight of p planes takes p passes in both. Attention, which has no weights, runs in the vector lanes.
    """

    kind: Literal["one_bit"] = "one_bit"
    activations: Literal["serial", "parallel"]
    rtl: RtlOptions = RtlOptions()

    @property
    def peak_macs_per_cycle(self) -> float:
        """Products of a one-bit weight and an 8-bit activation in a cycle with every row busy."""
        return self.rows * self.cols * self.lanes / (ACTIVATION_BITS if self.activations == "serial" else 1)


class Fp16ArrayDesign(_Array):
    """An array of FP16 multiply-accumulate lanes; weights, activations, state and head are FP16."""

    kind: Literal["fp16_array"] = "fp16_array"

    @property
    def peak_macs_per_cycle(self) -> float:
        """FP16 multiply-accumulates in a cycle with every row busy."""
        return float(self.rows * self.cols * self.lanes)


class GpuDesign(_MemorySystem):
    """A GPU as a roofline: peak dense FP16 arithmetic, memory bandwidth, board power. FP16 throughout.

    ``board_power_w`` is the limit that the vendor states for the whole board; ``source`` says where the figures stand.
    """

    kind: Literal["gpu"] = "gpu"
    peak_fp16_tflops: _Positive
    board_power_w: _Positive
    dram: Dram
    source: Annotated[str, Field(min_length=1)]

    @property
    def peak_macs_per_cycle(self) -> float:
        """FP16 multiply-accumulates (two operations each) in a cycle at peak."""
        return self.peak_fp16_tflops * 1e12 / 2 / self.clock_hz


TWIN = "fp16"
"""The baseline that stands for the FP16 array of equal throughput of every one-bit design."""

Design = OneBitDesign | Fp16ArrayDesign | GpuDesign
KINDS: dict[str, type[Design]] = {"one_bit": OneBitDesign, "fp16_array": Fp16ArrayDesign, "gpu": GpuDesign}


def preset_names() -> tuple[str, ...]:
    """Names of the designs that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.yaml")))


def load_design(name_or_path: str | Path) -> Design:
    """The design of a preset's name (``edge-28nm``), its FP16 twin (``edge-28nm/fp16``) or of a YAML file.

    What ends in ``.yaml`` or ``.yml`` is a file. Raises ``ValueError`` (file, field, fault) for an invalid or unknown
    design and ``OSError`` for an unreadable file.
    """
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")):
        return _read(Path(text))
    if text.endswith("/fp16"):
        return equal_throughput_baseline(load_design(text.removesuffix("/fp16")))
    if text in preset_names():
        return _read(_PRESETS / f"{text}.yaml")
    raise ValueError(f"no design {text!r}: give a .yaml file or one of {', '.join(preset_names())}")


def load_designs(names: Iterable[str], baselines: Collection[str]) -> list[Design]:
    """The designs of ``names``, each FP16 twin before its own, then those of ``baselines``; each design once.

    ``TWIN`` among the baselines stands for the twin of every one-bit design. Raises as ``load_design`` does, and
    ``ValueError`` where two different designs have one name.
    """
    chosen: list[Design] = []
    for name in names:
        design = load_design(name)
        if TWIN in baselines and isinstance(design, OneBitDesign):
            chosen.append(equal_throughput_baseline(design))
        chosen.append(design)
    chosen += [load_design(name) for name in baselines if name != TWIN]
    found: dict[str, Design] = {}
    for design in chosen:
        if found.setdefault(design.name, design) != design:
            raise ValueError(f"two different designs are named {design.name}; every design needs its own name")
    return list(found.values())


def _read(path: Path) -> Design:
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path}: a design is a mapping of fields to values, starting with kind")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{path}: kind is {kind!r}, it must be one of {', '.join(KINDS)}")
    technology = data.get("technology")
    if isinstance(technology, str) and technology.endswith((".yaml", ".yml")):
        data["technology"] = str(path.parent / technology)
    return validated(TypeAdapter(KINDS[kind]), data, str(path))


def equal_throughput_baseline(design: Design) -> Fp16ArrayDesign:
    """The FP16 array that does as many multiply-accumulates a second as ``design`` does with 8-bit activations.

    Same rows, clock, vector and scan lanes, memories, DRAM and technology. Against a serial array it has an eighth of
    the lanes (of the columns where ``lanes`` is not a multiple of 8).
    Raises ``ValueError`` for a GPU, for an FP16 array, and where no whole number of lanes gives the same peak.
    """
    if not isinstance(design, OneBitDesign):
        raise ValueError(f"{design.name} is of kind {design.kind}: only a one_bit design has an FP16 baseline")
    cols, lanes = design.cols, design.lanes
    if design.activations == "serial":
        if lanes % ACTIVATION_BITS == 0:
            lanes //= ACTIVATION_BITS
        elif cols * lanes % ACTIVATION_BITS == 0:
            cols, lanes = cols * lanes // ACTIVATION_BITS, 1
        else:
            raise ValueError(
                f"{design.name}: cols × lanes is {cols * lanes}, it must be a multiple of {ACTIVATION_BITS} "
                "for an FP16 array of equal throughput"
            )
    shared = design.model_dump(exclude={"kind", "name", "description", "activations", "cols", "lanes", "dram", "rtl"})
    return Fp16ArrayDesign(
        name=f"{design.name}/fp16",
        description=f"FP16 array with the peak throughput and the memories of {design.name}",
        cols=cols,
        lanes=lanes,
        dram=design.dram,
        **shared,
    )
