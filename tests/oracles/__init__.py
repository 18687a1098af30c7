"""Float64 oracles, written from the published equations alone: nothing here imports the simulator or the trainer.

Equations: state-spaces/mamba@e9594ce (Mamba, Mamba-2), Bi-Mamba@5061857 and FBI-LLM@ec98ddd (FBI-Linear). Sequences are
``[length, …]`` without a batch axis: a batch is a loop over sequences. A function that carries a state takes it and
returns the new one; ``None`` is the zero state.
"""
