"""``Design``: a hardware description. Four kinds, told apart by ``kind``: ``one_bit``, ``fp16_array``,
``quantized_array``, ``gpu``.

A design states sizes, clocks and memories; what an action costs lives in a technology table, chosen by name.

An array (every kind but ``gpu``) is output-stationary: activations of one token enter one of ``rows`` from
the left, weights of one output enter one of ``cols`` from the top, each element takes ``lanes`` of the inputs a cycle.
At batch 1 a decode step has one token, so it uses one row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationInfo, field_validator

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


class Residency(_Value):
    """Where a state lives and how wide it is.

    ``at``: ``on_chip`` in the state memory; ``spilled`` to DRAM, read and written in every step; ``auto`` on chip where
    it fits, smallest first. ``bits``: of a value; the width that the trace has where it is not given.
    """

    at: Literal["auto", "on_chip", "spilled"] = "auto"
    bits: Literal[8, 16, 32] | None = None


class State(_Value):
    """The state by the kind of operation that keeps it: the recurrent state of the ``scan``, the last samples of the
    ``conv1d``, the KV cache of ``attention``."""

    scan: Residency = Residency()
    conv1d: Residency = Residency()
    attention: Residency = Residency()


class Head(_Value):
    """Where the weights of the head and the embedding table live, and how wide they are.

    ``at``: ``on_chip`` in the weight memory; ``streamed`` from DRAM in every step; ``auto`` on chip where they fit.
    ``bits``: weight planes, integers with a scale per row; those of the trace where it is not given.
    """

    at: Literal["auto", "on_chip", "streamed"] = "auto"
    bits: Literal[1, 8, 16] | None = None


class OneBitDesign(_Array):
    """An array of one-bit weights and integer activations.

    ``serial``: a lane is one XNOR into a popcount, an activation of n bits takes n passes.
    ``parallel``: a lane adds or subtracts one whole activation of up to 8 bits.
    A weight of p planes takes p passes in both. Attention, which has no weights, runs in the vector lanes.
    ``state``, ``head``: where they live and how wide they are.
    """

    kind: Literal["one_bit"] = "one_bit"
    activations: Literal["serial", "parallel"]
    rtl: RtlOptions = RtlOptions()
    state: State = State()
    head: Head = Head()

    @field_validator("state")
    @classmethod
    def _state_has_a_place(cls, state: State, info: ValidationInfo) -> State:
        for kind, residency in state:
            _check_place(kind, residency.at, "state_memory_kib", info)
        return state

    @field_validator("head")
    @classmethod
    def _head_has_a_place(cls, head: Head, info: ValidationInfo) -> Head:
        _check_place("head", head.at, "weight_memory_kib", info)
        return head

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


class QuantizedArrayDesign(_Array):
    """An array for integer weights in the layers' linears; state, head, embedding and attention are FP16.

    ``arithmetic``: ``int8`` multiplies int8 weights by int8 activations and accumulates in 32 bits; ``fp16``
    dequantizes the weights as they enter the array and multiplies FP16. ``weight_bits``: of a weight.
    ``group_size``: neighbouring inputs of an output that share an FP16 scale; all of them where it is not given.
    """

    kind: Literal["quantized_array"] = "quantized_array"
    arithmetic: Literal["int8", "fp16"]
    weight_bits: Literal[4, 8]
    group_size: _Size | None = None

    @field_validator("group_size")
    @classmethod
    def _integers_are_scaled_at_the_end(cls, group_size: int | None, info: ValidationInfo) -> int | None:
        if group_size is not None and info.data.get("arithmetic") == "int8":
            raise ValueError("int8 products are accumulated over all inputs of an output; leave group_size out")
        return group_size

    @property
    def activation_bits(self) -> int:
        """Of what enters a linear of the layers."""
        return 8 if self.arithmetic == "int8" else 16

    @property
    def fp16_lanes(self) -> int:
        """Lanes of an element that multiply FP16: all, or one for every two of int8, as the tensor cores of an A100
        have it (624 TOPS against 312 TFLOPS)."""
        return self.lanes if self.arithmetic == "fp16" else max(1, self.lanes // 2)

    @property
    def peak_macs_per_cycle(self) -> float:
        """Products of a quantized weight and an activation in a cycle with every row busy."""
        return float(self.rows * self.cols * self.lanes)


class GpuDesign(_MemorySystem):
    """A GPU as a roofline: peak dense FP16 arithmetic, memory bandwidth, board power. FP16 throughout.

    ``board_power_w`` is the limit that the vendor states for the whole board; ``source`` says where the figures stand.
    ``utilization``: ``peak`` reaches the roofline at that power; ``achieved`` the shares of bandwidth, arithmetic and
    power that are published of real kernels.
    """

    kind: Literal["gpu"] = "gpu"
    peak_fp16_tflops: _Positive
    board_power_w: _Positive
    utilization: Literal["peak", "achieved"] = "peak"
    dram: Dram
    source: Annotated[str, Field(min_length=1)]

    @property
    def peak_macs_per_cycle(self) -> float:
        """FP16 multiply-accumulates (two operations each) in a cycle at peak."""
        return self.peak_fp16_tflops * 1e12 / 2 / self.clock_hz


def _check_place(what: str, at: str, memory: str, info: ValidationInfo) -> None:
    """Refuse a place that the design does not have. A field with a fault of its own is not in ``info.data``."""
    if at == "on_chip" and info.data.get(memory) == 0:
        raise ValueError(f"{what} is on_chip, but {memory} is 0; make it larger, or let {what} be auto")
    if at in ("spilled", "streamed") and info.data.get("dram", at) is None:
        raise ValueError(f"{what} is {at}, but there is no dram; add one, or let {what} be auto")


Design = OneBitDesign | Fp16ArrayDesign | QuantizedArrayDesign | GpuDesign
ArrayDesign = OneBitDesign | Fp16ArrayDesign | QuantizedArrayDesign
KINDS: dict[str, type[Design]] = {
    "one_bit": OneBitDesign,
    "fp16_array": Fp16ArrayDesign,
    "quantized_array": QuantizedArrayDesign,
    "gpu": GpuDesign,
}

Twin = Callable[[OneBitDesign], Design]
"""Makes a baseline of a one-bit design, on its memory system."""
TWIN = "fp16"
"""The baseline that stands for the FP16 array of equal throughput of every one-bit design."""
ACHIEVED = "achieved"
"""``GPU/achieved`` is a GPU at what real kernels reach."""


def preset_names() -> tuple[str, ...]:
    """Names of the designs that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.yaml")))


def load_design(name_or_path: str | Path, twins: Mapping[str, Twin] | None = None) -> Design:
    """The design of a preset's name (``edge-28nm``) or of a YAML file, a twin of it (``edge-28nm/fp16``), or a GPU as
    it is used (``gpu-h100/achieved``).

    What ends in ``.yaml`` or ``.yml`` is a file. ``twins``: by what stands behind the slash; ``TWINS`` if not given.
    Raises ``ValueError`` (file, field, fault) for an invalid or unknown design and ``OSError`` for an unreadable file.
    """
    text, known = str(name_or_path), TWINS if twins is None else twins
    if text.endswith((".yaml", ".yml")):
        return _read(Path(text))
    name, _, suffix = text.rpartition("/")
    if name and suffix in known:
        return known[suffix](_one_bit(load_design(name, known)))
    if name and suffix == ACHIEVED:
        return _achieved(load_design(name, known))
    if text in preset_names():
        return _read(_PRESETS / f"{text}.yaml")
    raise ValueError(f"no design {text!r}: give a .yaml file or one of {', '.join(preset_names())}")


def load_designs(
    names: Iterable[str], baselines: Collection[str], twins: Mapping[str, Twin] | None = None
) -> list[Design]:
    """The designs of ``names``, the twins of each before it, then those of ``baselines``; each design once.

    A key of ``twins`` (``TWINS`` if not given) among the baselines stands for that twin of every one-bit design.
    Raises as ``load_design`` does, and ``ValueError`` where two different designs have one name.
    """
    known = TWINS if twins is None else twins
    chosen: list[Design] = []
    for name in names:
        design = load_design(name, known)
        if isinstance(design, OneBitDesign):
            chosen += [known[each](design) for each in baselines if each in known]
        chosen.append(design)
    chosen += [load_design(name, known) for name in baselines if name not in known]
    return distinct(chosen)


def distinct(designs: Iterable[Design]) -> list[Design]:
    """Each design once, in order. Raises ``ValueError`` where two different designs have one name."""
    found: dict[str, Design] = {}
    for design in designs:
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


def _achieved(design: Design) -> GpuDesign:
    if not isinstance(design, GpuDesign):
        raise ValueError(f"{design.name} is of kind {design.kind}: only a gpu is known at what is achieved")
    described = {"name": f"{design.name}/{ACHIEVED}", "description": f"{design.name} as real kernels use it"}
    return design.model_copy(update=described | {"utilization": ACHIEVED})


def equal_throughput_baseline(design: OneBitDesign) -> Fp16ArrayDesign:
    """The FP16 array that does as many multiply-accumulates a second as ``design`` does with 8-bit activations.

    Same rows, clock, vector and scan lanes, memories, DRAM and technology; its state and head, 16 bit wide, stay on
    chip where they fit. Against a serial array it has an eighth of the lanes (of the columns where ``lanes`` is not a
    multiple of 8).
    Raises ``ValueError`` where no whole number of lanes gives the same peak.
    """
    cols, lanes = _equal_peak(design)
    return fp16_array(design, "fp16", cols, lanes, "with the peak throughput and the memories")


def w8a8_baseline(design: OneBitDesign) -> QuantizedArrayDesign:
    """The array of int8 weights and activations with the peak of ``design``, memories and units as in
    :func:`equal_throughput_baseline`: one FP16 scale an output, as in SmoothQuant (Xiao et al., ICML 2023)."""
    cols, lanes = _equal_peak(design)
    return quantized_array(design, "w8a8", cols, lanes, "with the peak throughput and the memories")


def w4a16_baseline(design: OneBitDesign) -> QuantizedArrayDesign:
    """The array of 4-bit weights and FP16 arithmetic with the peak of ``design``, memories and units as in
    :func:`equal_throughput_baseline`: an FP16 scale for 128 weights, as in AWQ (Lin et al., MLSys 2024)."""
    cols, lanes = _equal_peak(design)
    return quantized_array(design, "w4a16", cols, lanes, "with the peak throughput and the memories")


TWINS: dict[str, Twin] = {TWIN: equal_throughput_baseline, "w8a8": w8a8_baseline, "w4a16": w4a16_baseline}
"""Baselines of equal peak throughput, by what stands behind the slash of their names."""

_FORMATS: dict[str, dict[str, object]] = {
    "w8a8": {"arithmetic": "int8", "weight_bits": 8},
    "w4a16": {"arithmetic": "fp16", "weight_bits": 4, "group_size": 128},
}


def fp16_array(design: OneBitDesign, suffix: str, cols: int, lanes: int, what: str) -> Fp16ArrayDesign:
    """The FP16 array named ``design/suffix`` of this shape, all else as in ``design``; ``what`` it has in common."""
    described = {"name": f"{design.name}/{suffix}", "description": f"FP16 array {what} of {design.name}"}
    return Fp16ArrayDesign.model_validate(_around(design) | described | {"cols": cols, "lanes": lanes})


def quantized_array(design: OneBitDesign, suffix: str, cols: int, lanes: int, what: str) -> QuantizedArrayDesign:
    """The array of the formats with which ``suffix`` starts, as :func:`fp16_array` has it."""
    formats = suffix.partition("-")[0]
    described = {"name": f"{design.name}/{suffix}", "description": f"{formats.upper()} array {what} of {design.name}"}
    fields = _around(design) | _FORMATS[formats] | described | {"cols": cols, "lanes": lanes}
    return QuantizedArrayDesign.model_validate(fields)


def _one_bit(design: Design) -> OneBitDesign:
    if not isinstance(design, OneBitDesign):
        raise ValueError(f"{design.name} is of kind {design.kind}: only a one_bit design has baselines")
    return design


def _around(design: OneBitDesign) -> dict[str, object]:
    """What every baseline has of ``design``: rows, clock, units, memories, DRAM, technology."""
    fields = set(Fp16ArrayDesign.model_fields) - {"kind", "name", "description", "cols", "lanes"}
    return design.model_dump(include=fields)


def _equal_peak(design: OneBitDesign) -> tuple[int, int]:
    """Columns and lanes of an array that does as many multiply-accumulates a cycle, one a lane."""
    cols, lanes = design.cols, design.lanes
    if design.activations == "parallel":
        return cols, lanes
    if lanes % ACTIVATION_BITS == 0:
        return cols, lanes // ACTIVATION_BITS
    if cols * lanes % ACTIVATION_BITS == 0:
        return cols * lanes // ACTIVATION_BITS, 1
    raise ValueError(
        f"{design.name}: cols × lanes is {cols * lanes}, it must be a multiple of {ACTIVATION_BITS} "
        "for an array of equal throughput"
    )
