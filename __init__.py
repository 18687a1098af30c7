"""xnorscan: hardware simulation and accelerator design for one-bit language models."""

__version__ = "0.1.0"
