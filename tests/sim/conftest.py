"""Settings of this room's tests."""

from hypothesis import settings

settings.register_profile("kernels", deadline=None, max_examples=60)  # a kernel's first call compiles it
settings.load_profile("kernels")
