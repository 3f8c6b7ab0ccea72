"""bench.cgroup for tests: where there is none, the test is skipped, and says so."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from bench import cgroup
from bench.cgroup import MemoryCgroup, NoCgroup, drop_page_cache

__all__ = ["MemoryCgroup", "drop_page_cache", "memory_limit"]


@contextmanager
def memory_limit(mib: int, *, cold: bool = True) -> Iterator[MemoryCgroup]:
    """As `bench.cgroup.memory_limit`; skips the test, saying why, where no group can be made."""
    with ExitStack() as stack:
        try:
            group = stack.enter_context(cgroup.memory_limit(mib, cold=cold))
        except NoCgroup as error:
            pytest.skip(str(error))
        yield group
