"""What integers cost the shipped models, against the float64 student, on the text that their test carries.

PYTHONPATH=tests:tests/sim python benchmarks/integer_loss.py
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from test_trained import float_bits_per_byte, loss

from xnorscan.models.shipped import shipped_names

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "absmax": {"quantizer": "absmax"},
    "12-bit state": {"state_bits": 12},
    "8-bit state": {"state_bits": 8},
}


def main() -> None:
    """Print the table of docs/numerics.md."""
    table = Table("model", "float64, bits/byte", *VARIANTS)
    for name in shipped_names():
        losses = (f"{100 * loss(name, **precision):+.2f} %" for precision in VARIANTS.values())
        table.add_row(name, f"{float_bits_per_byte(name):.3f}", *losses)
    Console().print(table)


if __name__ == "__main__":
    main()
