"""Changes of manifests and code are noticed; what no worker reads makes no noise."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from jetmill_operator.dev.watch import Changes, take_stamps, watch
from support.wait import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def changes(tmp_path):
    (tmp_path / "jobs.yaml").write_text("a: 1\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "tasks.py").write_text("x = 1\n")
    (tmp_path / ".jetmill").mkdir()
    seen: list[Changes] = []
    stop, since = asyncio.Event(), take_stamps(tmp_path)

    async def follow() -> None:
        async with contextlib.aclosing(watch(tmp_path, since=since, stop=stop)) as found:
            async for change in found:
                seen.append(change)  # noqa: PERF401  the test looks at it while it grows

    task = asyncio.create_task(follow())
    yield seen
    stop.set()
    await task


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("jobs.yaml", Changes(manifests=True, code=False)),
        ("new.yml", Changes(manifests=True, code=False)),
        ("package/tasks.py", Changes(manifests=False, code=True)),
        ("new.py", Changes(manifests=False, code=True)),
    ],
)
async def test_a_change_is_told_from_the_other_kind(tmp_path, changes, path, change):
    (tmp_path / path).write_text("something else\n")
    await eventually(lambda: changes)
    assert changes == [change]


async def test_what_was_saved_before_the_watch_began_is_told(tmp_path):
    since = take_stamps(tmp_path)
    (tmp_path / "jobs.yaml").write_text("a: 1\n")
    async with contextlib.aclosing(watch(tmp_path, since=since, stop=asyncio.Event())) as found:
        assert await anext(found) == Changes(manifests=True, code=False)


async def test_a_new_folder_is_watched_too(tmp_path, changes):
    (tmp_path / "later" / "deep").mkdir(parents=True)
    (tmp_path / "later" / "deep" / "first.py").write_text("")
    await eventually(lambda: changes)
    (tmp_path / "later" / "deep" / "second.py").write_text("")
    await eventually(lambda: len(changes) == 2)


async def test_what_is_no_code_of_ours_makes_no_noise(tmp_path, changes):
    (tmp_path / ".jetmill" / "store.py").write_text("")
    (tmp_path / "package" / "__pycache__").mkdir()
    (tmp_path / "package" / "__pycache__" / "tasks.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "package" / "jobs.yaml").write_text("manifests are read from the folder itself only")
    (tmp_path / "jobs.yaml").unlink()
    await eventually(lambda: changes)
    assert changes == [Changes(manifests=True, code=False)]
