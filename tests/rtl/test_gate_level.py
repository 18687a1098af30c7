"""What synthesis makes of parts and of small arrays does what they do; a fault in it is seen."""

import re

import pytest

from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.gate_level import check_array, check_primitive, gates
from xnorscan.rtl.popcount import XorPopcount
from xnorscan.rtl.primitives import PRIMITIVES, xor_popcount

ARRAYS = {
    activations: ArrayConfig(
        rows=2, cols=2, lanes=16, activations=activations, tech="ecp5", inputs_max=64, cols_per_block=1
    )
    for activations in ("serial", "parallel")
}


def test_the_popcount_of_64_lanes(tmp_path):
    result = check_primitive(xor_popcount(64, "ecp5"), 400, tmp_path)
    assert result.passed, result.message


@pytest.mark.verify
@pytest.mark.parametrize("name", PRIMITIVES)
def test_parts(name, tmp_path):
    result = check_primitive(PRIMITIVES[name], 400, tmp_path)
    assert result.passed, result.message


@pytest.mark.parametrize("activations", ["serial", pytest.param("parallel", marks=pytest.mark.verify)])
def test_arrays(activations, tmp_path):
    result = check_array(ARRAYS[activations], tmp_path)
    assert result.passed, result.message
    assert result.tests == 2


@pytest.mark.verify
def test_one_wrong_table_is_seen(tmp_path):
    verilog = gates(XorPopcount(4, "ecp5"))
    tables = list(re.finditer(r"\.INIT1\(16'h([0-9a-f]{4})\)", verilog))
    wrong = f"{int(tables[0][1], 16) ^ 0x8000:04x}"
    changed = verilog[: tables[0].start(1)] + wrong + verilog[tables[0].end(1) :]
    result = check_primitive(xor_popcount(4, "ecp5"), 400, tmp_path, verilog=changed)
    assert not result.passed
    assert re.search(r"cycle \d+: o is ", result.message)


def test_the_netlist_is_of_cells_alone():
    text = gates(XorPopcount(4, "ecp5"))
    top = text[: text.index("module L6MUX21")]
    assert "always" not in top
    assert re.search(r"\bCCU2C #", top)
    assert re.search(r"\bTRELLIS_FF #", top)


def test_only_an_ecp5_is_simulated_at_gate_level():
    with pytest.raises(ValueError, match=r"^up5k is of ice40 cells, gate level is simulated of ecp5 cells$"):
        gates(XorPopcount(4), device="up5k")
