"""Nothing is dialled that may not be: 150 hosts, names whose answers change, redirects. The step that opens sockets is
observed and opens none, so that no packet leaves.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from ipaddress import ip_address

import pytest

from jetmill.errors import InputError
from jetmill_operator.dispatch.address import AddressPolicy
from jetmill_operator.dispatch.courier import Courier
from jetmill_operator.dispatch.exchange import Request, SendError
from jetmill_operator.dispatch.guard import MOST_ADDRESSES, AddressInfo, DeniedError, Guard, make_socket
from jetmill_operator.dispatch.resolver import Resolver
from support.hosts import ALLOWED, LITERALS, NAMES
from support.nameserver import NameServer
from support.receiver import Receiver, reply

pytestmark = pytest.mark.integration


class Dialled:
    """Notes what is to be connected to, and refuses; addresses in `through` get a real socket."""

    def __init__(self, *, through: Iterable[str] = ()) -> None:
        self.addresses: list[str] = []
        self._through = frozenset(through)

    def __call__(self, info: AddressInfo) -> socket.socket:
        address = info[4][0]
        self.addresses.append(address)
        if address in self._through:
            return make_socket(info)
        raise OSError("observed")


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


def make_courier(dial: Dialled, resolve, *, allow: Iterable[str] = ()) -> Courier:
    guard = Guard(AddressPolicy(allow=allow), resolve, make=dial)
    return Courier(guard, schemes=("http", "https"))


async def send(courier: Courier, url: str) -> int:
    return (await courier.send(Request("POST", url, {}, b"{}"), timeout_seconds=10)).status


def test_the_corpus_is_long_enough() -> None:
    assert len({*LITERALS, *NAMES}) >= 120


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_spelling_of_a_forbidden_address_is_dialled(resolver: Resolver, scheme: str) -> None:
    dial = Dialled()
    courier = make_courier(dial, resolver.resolve)
    passed = []
    for host in LITERALS:
        try:
            await send(courier, f"{scheme}://{host}/")
        except (DeniedError, InputError):
            continue
        except SendError:  # the system's resolver does not take this spelling: nothing to dial
            continue
        passed.append(host)
    await courier.close()
    assert (passed, dial.addresses) == ([], [])


async def test_most_spellings_are_understood_and_denied_rather_than_unknown(resolver: Resolver) -> None:
    courier = make_courier(Dialled(), resolver.resolve)
    denied = 0
    for host in LITERALS:
        try:
            await send(courier, f"http://{host}/")
        except (DeniedError, InputError):
            denied += 1
        except SendError:
            pass
    await courier.close()
    assert denied >= 120


async def test_one_forbidden_answer_of_a_name_is_enough() -> None:
    dial = Dialled()

    async def resolve(host: str, port: int) -> list[str]:
        return list(NAMES[host])

    courier = make_courier(dial, resolve)
    for name in NAMES:
        with pytest.raises((DeniedError, SendError)):
            await send(courier, f"https://{name}/")
    await courier.close()
    assert dial.addresses == []


@pytest.mark.parametrize("address", ALLOWED)
async def test_what_is_allowed_is_dialled_at_the_very_address_that_was_checked(address: str) -> None:
    dial = Dialled()

    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    courier = make_courier(dial, resolve)
    with pytest.raises(SendError, match="observed"):
        await send(courier, "https://hooks.example.com/")
    with pytest.raises(SendError, match="observed"):
        await send(courier, f"https://[{address}]/" if ":" in address else f"https://{address}/")
    await courier.close()
    assert {*map(ip_address, dial.addresses)} == {ip_address(address)}
    assert len(dial.addresses) == 2


async def test_a_host_of_many_addresses_is_tried_at_the_first_few() -> None:
    dial = Dialled()

    async def resolve(host: str, port: int) -> list[str]:
        return list(ALLOWED)

    courier = make_courier(dial, resolve)
    with pytest.raises(SendError, match="observed"):
        await send(courier, "https://hooks.example.com/")
    await courier.close()
    assert set(dial.addresses) == set(ALLOWED[:MOST_ADDRESSES])


async def test_a_receiver_is_found_at_the_second_address_of_its_host() -> None:
    async with Receiver.serve() as receiver:
        dial = Dialled(through=["127.0.0.1"])

        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.2", "127.0.0.1"]

        courier = make_courier(dial, resolve, allow=["127.0.0.0/8"])
        assert await send(courier, f"http://hooks.example.test:{receiver.port}/") == 200
        await courier.close()
        assert dial.addresses == ["127.0.0.2", "127.0.0.1"]


@pytest.mark.parametrize("address", ["::1", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fd00:ec2::254"])
async def test_an_address_that_is_written_instead_of_a_name_is_checked_where_its_socket_is_made(address: str) -> None:
    dial = Dialled()

    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError("there is nothing to look up")

    courier = make_courier(dial, resolve)
    with pytest.raises(DeniedError, match="not to be reached"):
        await send(courier, f"https://[{address}]/" if ":" in address else f"https://{address}/")
    await courier.close()
    assert dial.addresses == []


async def test_a_name_whose_answer_changes_between_check_and_connect_is_asked_once() -> None:
    """Good at the first question, loopback at the second: a sender that looks twice would be led inside."""
    dial = Dialled()

    def answer(name: str, count: int) -> tuple[str, ...]:
        return ("93.184.215.14",) if count % 2 == 1 else ("127.0.0.1",)

    async with NameServer.serve(answer) as names:
        courier = make_courier(dial, names.resolve)
        with pytest.raises(SendError):
            await send(courier, "http://rebind.attacker.test/")
        assert names.questions == {"rebind.attacker.test": 1}
        assert dial.addresses == ["93.184.215.14"]
        with pytest.raises(DeniedError, match="loopback"):
            await send(courier, "http://rebind.attacker.test/")
        await courier.close()
    assert dial.addresses == ["93.184.215.14"]


async def test_host_and_name_stay_those_of_the_address_while_a_checked_one_is_dialled() -> None:
    dial = Dialled(through=["127.0.0.1"])
    async with Receiver.serve() as receiver, NameServer.serve(lambda *_: ("127.0.0.1",)) as names:
        courier = make_courier(dial, names.resolve, allow=["127.0.0.0/8"])
        assert await send(courier, f"http://hooks.example.test:{receiver.port}/in?a=1") == 200
        [request] = receiver.requests
        assert (request.headers["host"], request.path) == (f"hooks.example.test:{receiver.port}", "/in?a=1")
        await courier.close()


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    dial = Dialled(through=["127.0.0.1"])
    answer = reply(302, location="http://169.254.169.254/latest/meta-data/")
    async with Receiver.serve(answer) as receiver, NameServer.serve(lambda *_: ("127.0.0.1",)) as names:
        courier = make_courier(dial, names.resolve, allow=["127.0.0.0/8"])
        assert await send(courier, f"http://hooks.example.test:{receiver.port}/") == 302
        await courier.close()
        assert (len(receiver.requests), set(dial.addresses)) == (1, {"127.0.0.1"})


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Receiver.serve() as proxy, Receiver.serve() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        dial = Dialled(through=["127.0.0.1"])

        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        courier = make_courier(dial, resolve, allow=["127.0.0.0/8"])
        assert await send(courier, f"http://hooks.example.test:{receiver.port}/") == 200
        await courier.close()
        assert (proxy.connections, len(receiver.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.com/", "http is not allowed"),
        ("https://hooks.example.com:22/", "port 22 is not allowed"),
        ("https://hooks.example.com:6443/", "port 6443 is not allowed"),
    ],
)
async def test_schemes_and_ports_are_those_of_the_policy(url: str, said: str) -> None:
    dial = Dialled()

    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError("not even looked up")

    courier = Courier(Guard(AddressPolicy(), resolve, make=dial), schemes=("https",), ports=(443, 8443))
    with pytest.raises(DeniedError, match=said):
        await send(courier, url)
    await courier.close()
    assert dial.addresses == []


async def test_a_name_server_that_hangs_holds_up_its_own_host_alone(resolver: Resolver) -> None:
    asked = asyncio.Event()

    async def resolve(host: str, port: int) -> list[str]:
        if host == "slow.test":
            asked.set()
            await asyncio.Event().wait()
        return ["127.0.0.1"]

    async with Receiver.serve() as receiver:
        slow = make_courier(Dialled(), resolve)
        quick = make_courier(Dialled(through=["127.0.0.1"]), resolve, allow=["127.0.0.0/8"])
        waiting = asyncio.create_task(send(slow, "http://slow.test/"))
        await asked.wait()
        assert await send(quick, f"http://quick.test:{receiver.port}/") == 200
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await slow.close()
        await quick.close()


async def test_a_host_is_looked_up_by_one_at_a_time_and_all_have_the_answer(resolver: Resolver) -> None:
    found = await asyncio.gather(*(resolver.resolve("127.0.0.1", 80) for _ in range(50)))
    assert found == [["127.0.0.1"]] * 50
    with pytest.raises(OSError, match=r".+"):
        await resolver.resolve("256.256.256.256.", 80)
