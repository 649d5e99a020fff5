"""Property tests run without a clock, because the machine may be busy; `make test-fast` draws fewer examples."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("no_clock", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "no_clock"))
