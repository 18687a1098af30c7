"""Hardware descriptions: designs read from YAML, presets, FP16 baselines and GPUs."""
