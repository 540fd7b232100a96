"""What the API server said, for a while."""

from __future__ import annotations

import asyncio

import pytest

from jetmill_operator.gateway.access.authenticate import Authenticator, Credentials, Method
from jetmill_operator.gateway.access.cache import AnswerCache
from jetmill_operator.gateway.access.errors import AccessUnavailableError, UnauthenticatedError
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.rate import Limiter
from jetmill_operator.gateway.access.session import Sessions
from support.gateway import TableReviewer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> AnswerCache[str, int]:
    return AnswerCache(size=2, seconds_of=float, clock=clock)


class Oracle:
    """Answers in its own time, and counts."""

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> int:
        self.asked += 1
        await self.go.wait()
        if self.answer < 0:
            raise AccessUnavailableError("away")
        return self.answer


async def test_an_answer_counts_for_its_time_from_when_it_was_asked(cache: AnswerCache[str, int], clock: Clock) -> None:
    oracle = Oracle(10)
    oracle.go.clear()
    asking = asyncio.create_task(cache.get("a", oracle))
    await asyncio.sleep(0)
    clock.now = 4
    oracle.go.set()
    assert await asking == 10
    clock.now = 9.9
    await cache.get("a", oracle)
    assert oracle.asked == 1
    clock.now = 10
    await cache.get("a", oracle)
    assert oracle.asked == 2


async def test_who_waits_shares_one_question_and_who_gives_up_does_not_stop_it(cache: AnswerCache[str, int]) -> None:
    oracle = Oracle(10)
    oracle.go.clear()
    first, second = (asyncio.create_task(cache.get("a", oracle)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    oracle.go.set()
    assert await second == 10
    assert oracle.asked == 1


async def test_an_error_is_told_to_all_who_wait_and_kept_for_nobody(cache: AnswerCache[str, int]) -> None:
    oracle = Oracle(-1)
    answers = await asyncio.gather(*(cache.get("a", oracle) for _ in range(3)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {AccessUnavailableError}
    assert oracle.asked == 1
    oracle.answer = 10
    assert await cache.get("a", oracle) == 10


async def test_the_cache_holds_those_that_were_used_last(cache: AnswerCache[str, int]) -> None:
    oracle = Oracle(100)
    for key in ("a", "b", "a", "c", "a", "b"):
        await cache.get(key, oracle)
    assert oracle.asked == 4  # a, b, c, and b again


@pytest.fixture
def reviewer() -> TableReviewer:
    return TableReviewer(tokens={"good": Identity(name="ada"), "short": Identity(name="bob", expires=30.0)})


@pytest.fixture
def authenticator(reviewer: TableReviewer, clock: Clock) -> Authenticator:
    return Authenticator(reviewer, Sessions(b"k" * 32, session_seconds=600, clock=clock), clock=clock)


async def test_a_token_is_asked_for_once_and_kept_nowhere(
    authenticator: Authenticator, reviewer: TableReviewer
) -> None:
    for _ in range(3):
        assert (await authenticator.authenticate(Credentials(bearer="good"))).identity.name == "ada"
    assert reviewer.asked == ["token"]
    assert "good" not in str(vars(authenticator.cache))


async def test_a_token_that_runs_out_counts_no_more_however_fresh_the_answer_is(
    authenticator: Authenticator, clock: Clock
) -> None:
    await authenticator.review("short")
    clock.now = 30.0
    with pytest.raises(UnauthenticatedError):
        await authenticator.review("short")


@pytest.mark.parametrize("token", ["", "x" * 20_000, "ä", "a\nb", "unknown"])
async def test_a_token_that_can_be_none_is_not_accepted(authenticator: Authenticator, token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        await authenticator.review(token)


async def test_the_first_that_is_brought_counts_even_if_it_is_bad(authenticator: Authenticator) -> None:
    _, cookie = authenticator.sessions.begin(Identity(name="ada"))
    assert (await authenticator.authenticate(Credentials(cookie=cookie))).method is Method.SESSION
    for given in (Credentials(bearer="bad", cookie=cookie), Credentials(ticket="bad", cookie=cookie), Credentials()):
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(given)


async def test_who_cannot_be_asked_about_is_neither_in_nor_out(
    authenticator: Authenticator, reviewer: TableReviewer
) -> None:
    reviewer.away = True
    with pytest.raises(AccessUnavailableError):
        await authenticator.authenticate(Credentials(bearer="good"))
    reviewer.away = False
    assert (await authenticator.authenticate(Credentials(bearer="good"))).identity.name == "ada"


def test_a_bucket_fills_at_its_rate_and_never_over_its_edge(clock: Clock) -> None:
    limiter = Limiter(per_second=2.0, burst=4, clock=clock)
    assert [limiter.take("ada").allowed for _ in range(5)] == [True] * 4 + [False]
    refused = limiter.take("ada")
    assert (refused.remaining, refused.retry_seconds, refused.reset_seconds) == (0, 1, 2)
    clock.now = 0.5
    assert limiter.take("ada").allowed
    assert not limiter.take("ada").allowed
    clock.now = 1_000.0
    assert limiter.take("ada").remaining == 3
    assert limiter.take("bob").remaining == 3
