"""What holds for every test: times are proved in benchmarks/, so hypothesis sets no deadline of its own."""

import os

from hypothesis import settings

settings.register_profile("zkrollback", deadline=None)
# For the runs on other versions: the properties are ours, and are tried in full on this one.
settings.register_profile("few", deadline=None, max_examples=10)
settings.load_profile(os.environ.get("ZKROLLBACK_PROFILE", "zkrollback"))
