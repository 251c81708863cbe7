"""What all tests share: reproducible property tests, and few threads.

`HYPOTHESIS_PROFILE=explore` looks for new counterexamples instead of repeating the known search.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

# Before numpy is imported: a thread a core in every test process fights itself on small machines.
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest
from hypothesis import settings

settings.register_profile("default", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_finish() -> None:
    """Modules and tests are here to stay: looking through all of them for garbage takes half a second every time."""
    gc.freeze()


@pytest.fixture(scope="module")
def brief_releases() -> Iterator[None]:
    """See `tests.brief`, for a whole file."""
    from tests.brief import brief  # the pipeline, for the files that make releases only

    with brief():
        yield
