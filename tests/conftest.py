"""What the tests of all rooms share."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a test that is slow on a busy machine has not failed
settings.load_profile("untimed")
