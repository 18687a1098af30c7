"""The XNOR-popcount systolic array and what is around it: Amaranth components, Verilog, benches, proofs, synthesis."""
