"""What all tests share: reproducible property tests, and few threads.

`HYPOTHESIS_PROFILE=explore` looks for new counterexamples instead of repeating the known search.
"""

from __future__ import annotations

import os

# Before numpy is imported: a thread a core in every test process fights itself on small machines.
os.environ.setdefault("OMP_NUM_THREADS", "2")

from hypothesis import settings

settings.register_profile("default", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
