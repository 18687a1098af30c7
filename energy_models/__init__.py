"""What a trace costs on a design: cycles, traffic and energy, with sources and ranges."""
