"""Opens the ends of the ECP5's carry chains again in a netlist that Yosys wrote: ``python chain_ends.py NETLIST.json``.

Yosys ties an open CIN low and gives an unused COUT a name; nextpnr builds a slice for either. This file needs nothing
but Python: it goes along with the generated hardware.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def open_chain_ends(netlist: dict[str, Any]) -> None:
    """Open the ends of carry chains in ``netlist``, in place.

    A CIN is opened only where the first half is a slot (``carry_ecp5``), whose carry out does not depend on it.
    """
    for module in netlist["modules"].values():
        cells = module["cells"].values()
        used = {bit for cell in cells for port, bits in cell["connections"].items() if port != "COUT" for bit in bits}
        used.update(bit for port in module["ports"].values() for bit in port["bits"])
        for cell in cells:
            if cell["type"] == "CCU2C":
                pins = cell["connections"]
                is_slot = pins["C0"] == pins["D0"] == ["1"] and int(cell["parameters"]["INIT0"], 2) < 1 << 12
                if is_slot and pins["CIN"] == ["0"]:
                    pins["CIN"] = ["x"]
                if pins["COUT"][0] not in used:
                    pins["COUT"] = ["x"]


def open_in(path: Path) -> None:
    """Open the ends of the chains in the JSON file ``path``."""
    netlist = json.loads(path.read_text(encoding="utf-8"))
    open_chain_ends(netlist)
    path.write_text(json.dumps(netlist), encoding="utf-8")


if __name__ == "__main__":
    open_in(Path(sys.argv[1]))
