"""cocotb benches of the generated hardware. They import cocotb, NumPy and each other, nothing else of this package.

A copy of this folder beside a Verilog file, its golden data and ``simulate.py`` is therefore complete; there

    python simulate.py array.v --top array --bench bench.array_bench --data golden.npz

runs it. Golden data carry the stimulus, the idle cycles and all that is expected.
"""
