"""What holds for every test: times are proved in benchmarks/, so hypothesis sets no deadline of its own."""

from hypothesis import settings

settings.register_profile("zkrollback", deadline=None)
settings.load_profile("zkrollback")
