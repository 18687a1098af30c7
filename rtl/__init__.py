"""The XNOR-popcount systolic array and what stands around it: Amaranth components, Verilog, benches, proofs, synthesis."""
