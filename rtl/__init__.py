"""The XNOR-popcount systolic array and what is around it: Amaranth components, Verilog, benches, proofs, synthesis."""

import re
import warnings
from pathlib import Path

# A component is also built to be asked its latency, or to be refused: Amaranth warns of each that makes no hardware.
warnings.filterwarnings("ignore", ".*created but never used", module=re.escape(str(Path(__file__).parent)))
