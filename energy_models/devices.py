"""What an FPGA has: logic cells, flip-flops, block RAMs, multipliers, as nextpnr-ecp5 counts them.

The same numbers stand in Lattice's ECP5 family data sheet (FPGA-DS-02012, table 1.1): 24, 44 and 84 thousand LUTs; 56,
108 and 208 sysMEM blocks of 18 Kbit; 28, 72 and 156 multipliers of 18 × 18 bits.
"""

from __future__ import annotations

from collections.abc import Mapping

from .area import FpgaArea

RESOURCES: Mapping[str, FpgaArea] = {
    "ecp5-25k": FpgaArea(lut4=24_288, ff=24_288, comb=24_288, ebr=56, dsp=28),
    "ecp5-45k": FpgaArea(lut4=43_848, ff=43_848, comb=43_848, ebr=108, dsp=72),
    "ecp5-85k": FpgaArea(lut4=83_640, ff=83_640, comb=83_640, ebr=208, dsp=156),
}
"""By name of the device. A logic cell holds one LUT4 and has one flip-flop beside it."""
