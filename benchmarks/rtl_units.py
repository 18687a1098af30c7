"""The arithmetic of an element alone on an LFE5U-85F, placed and routed: LUT4, logic cells and clock.

    python benchmarks/rtl_units.py

Each unit stands between registers on four pins; what they cost is measured with it and taken off.
"""

from __future__ import annotations

import statistics
from typing import Any

from rich.console import Console
from rich.table import Table

from xnorscan.rtl.accumulator import Accumulator
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.popcount import XorPopcount
from xnorscan.rtl.signed_sum import SignedSum
from xnorscan.rtl.synth import synthesize
from xnorscan.rtl.verilog import to_verilog

DEVICE, CLOCK_MHZ, SEEDS = "ecp5-85k", 250, (1, 2, 3)


def units() -> dict[str, tuple[Any, int]]:
    """Component and products a cycle of each unit."""
    serial, parallel = (
        ArrayConfig(rows=1, cols=1, lanes=lanes, activations=activations, tech="ecp5")
        for lanes, activations in ((64, "serial"), (32, "parallel"))
    )
    return {
        "W1A1, 64 lanes": (XorPopcount(64, "ecp5"), 64),
        "W1A1, 256 lanes": (XorPopcount(256, "ecp5"), 256),
        "W1A8, 16 lanes": (SignedSum(16, "ecp5"), 16),
        "W1A8, 32 lanes": (SignedSum(32, "ecp5"), 32),
        "accumulator, serial": (Accumulator(serial), 1),
        "accumulator, parallel": (Accumulator(parallel), 1),
    }


def main() -> None:
    """Place every unit, print a row each."""
    table = Table(title=f"{DEVICE}, seeds {', '.join(map(str, SEEDS))}", title_justify="left")
    for column in ("unit", "LUT4", "a product", "logic cells", "a product", "FF", "Fmax min", "median MHz"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    console = Console()
    for name, (component, products) in units().items():
        with console.status(f"placing {name}"):
            found = synthesize(to_verilog(component, "unit"), "unit", DEVICE, CLOCK_MHZ, SEEDS).placements
        lut4, cells = found[0].lut4, min(placement.comb - placement.harness_lut4 for placement in found)
        clocks = [placement.fmax_mhz for placement in found]
        per = [f"{count / products:.2f}" if products > 1 else "" for count in (lut4, cells)]
        figures = [lut4, per[0], cells, per[1], found[0].ff]
        table.add_row(name, *map(str, figures), f"{min(clocks):.0f}", f"{statistics.median(clocks):.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
