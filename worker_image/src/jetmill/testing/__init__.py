"""For the tests of applications: jobs on a bus in memory, with a clock to move and the real worker on demand.

```python
from jetmill.testing import JobTester

async def test_signing_up_sends_a_welcome() -> None:
    async with JobTester() as jobs:
        await sign_up("ada@example.org")                  # application code, which enqueues

        jobs.assert_enqueued(send_email, where={"to": "ada@example.org"})
        await jobs.drain()                                # run what is due, by the real worker
        await jobs.move(3600)                             # an hour later: retries and delayed jobs are due
        await jobs.drain()
```

`JobTester(inline=True)` runs jobs as soon as they are enqueued. Nothing here needs pytest; as a fixture:

```python
@pytest_asyncio.fixture
async def jobs():
    async with JobTester() as tester:
        yield tester
```

`MemoryWorld` and `Faults` are for tests that want lost replies, lapsed deliveries and killed servers.
"""

from __future__ import annotations

from jetmill.bus.memory import Faults, MemoryClock, MemoryWorld
from jetmill.testing.enqueued import EnqueuedJob
from jetmill.testing.tester import JobTester

__all__ = ["EnqueuedJob", "Faults", "JobTester", "MemoryClock", "MemoryWorld"]
