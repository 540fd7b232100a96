"""Requests on real sockets: kept connections, every way an answer may end, TLS by the name."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jetmill.errors import InputError
from jetmill_operator.dispatch.address import AddressPolicy
from jetmill_operator.dispatch.courier import Courier, parse_url
from jetmill_operator.dispatch.exchange import Request, SendError
from jetmill_operator.dispatch.guard import Guard
from support.receiver import Received, Receiver, reply
from support.wait import eventually

pytestmark = pytest.mark.integration


async def resolve(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def courier(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[Courier]:
    guard = Guard(AddressPolicy(allow=["127.0.0.0/8"]), resolve)
    courier = Courier(guard, schemes=("http", "https"), tls=tls)
    try:
        yield courier
    finally:
        await courier.close()


async def send(courier: Courier, url: str, body: bytes = b"{}", **headers: str):
    return await courier.send(Request("POST", url, headers, body), timeout_seconds=60)


def raw(*parts: bytes, close: bool = False):
    """Answer with these very bytes, one after the other."""

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.close()

    return answer


async def test_a_connection_is_kept_for_the_next_request_and_several_at_once_have_their_own() -> None:
    async with Receiver.serve() as receiver, courier() as sender:
        for _ in range(5):
            assert (await send(sender, receiver.url)).status == 200
        assert receiver.connections == 1
        await asyncio.gather(*(send(sender, receiver.url) for _ in range(4)))
        assert len(receiver.requests) == 9
        assert receiver.connections <= 4


async def test_a_connection_that_its_receiver_closed_meanwhile_is_replaced_at_once() -> None:
    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        if len(receiver.requests) == 2:
            writer.transport.abort()  # the second request on a kept connection: closed just then
        else:
            await reply(200)(request, writer)

    async with Receiver.serve(answer) as receiver, courier() as sender:
        await send(sender, receiver.url)
        assert (await send(sender, receiver.url)).status == 200
        assert (len(receiver.requests), receiver.connections) == (3, 2)


async def test_a_fresh_connection_that_breaks_is_a_failure_and_no_loop() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with Receiver.serve(answer) as receiver, courier() as sender:
        with pytest.raises(SendError, match="the connection broke"):
            await send(sender, receiver.url)
        assert len(receiver.requests) == 1


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (raw(CHUNKED, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"), b"abcde"),
        (raw(b"HTTP/1.1 200 OK\r\n\r\n", b"until", b" the end", close=True), b"until the end"),
        (raw(b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", close=True), b"abc"),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), b"ok"),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), b""),
        (raw(*(bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")), b"ok"),
    ],
    ids=["chunked", "until-closed", "http-1.0", "continue", "no-content", "byte-by-byte"],
)
async def test_an_answer_may_end_in_every_way_that_http_knows(answer, body: bytes) -> None:
    async with Receiver.serve(answer) as receiver, courier() as sender:
        for _ in range(2):
            found = await send(sender, receiver.url)
            assert (200 <= found.status < 300, found.body, found.truncated) == (True, body, False)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", close=True), "breaks off"),
        (raw(CHUNKED, b"zz\r\n"), "chunk size"),
        (raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), "another protocol"),
        (raw(b"HTTP/1.1 200 OK\r\n", *(b"x: y\r\n" * 1000 for _ in range(20))), "no HTTP: Too many"),
        (raw(b"220 smtp ready\r\n"), "no HTTP"),
    ],
    ids=["cut", "bad-chunk", "upgrade", "headers-without-end", "smtp"],
)
async def test_what_is_no_answer_is_a_failure_that_says_why(answer, says: str) -> None:
    async with Receiver.serve(answer) as receiver, courier() as sender:
        with pytest.raises(SendError, match=says):
            await send(sender, receiver.url)


async def test_headers_are_kept_as_far_as_anybody_wants_to_read() -> None:
    many = b"".join(b"x-%d: %d\r\n" % (number, number) for number in range(100))
    answer = raw(
        b"HTTP/1.1 503 Busy\r\n"
        + many
        + b"set-cookie: a\r\nset-cookie: b\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"
    )
    async with Receiver.serve(answer) as receiver, courier() as sender:
        found = await send(sender, receiver.url)
        assert (found.status, found.headers["retry-after"], found.headers["x-5"]) == (503, "7", "5")
        assert len(found.headers) < 40


async def test_who_speaks_without_being_asked_is_left() -> None:
    async with (
        Receiver.serve(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" * 2)) as receiver,
        courier() as sender,
    ):
        assert (await send(sender, receiver.url)).status == 200
        assert (await send(sender, receiver.url)).status == 200
        assert receiver.connections == 2


async def test_nothing_listens_is_said() -> None:
    async with Receiver.serve() as receiver:
        url = receiver.url
    async with courier() as sender:
        with pytest.raises(SendError, match="cannot be connected to"):
            await send(sender, url)


async def test_idle_connections_are_closed() -> None:
    async with Receiver.serve() as receiver, courier() as sender:
        await send(sender, receiver.url)
        assert receiver.open == 1
        await eventually(lambda: not receiver.open, seconds=120)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A key and a certificate for hooks.example.test that nobody signed but itself."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=hooks.example.test",
    ]
    words += ["-addext", "subjectAltName=DNS:hooks.example.test", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    return key, certificate


async def test_tls_goes_by_the_name_while_a_checked_address_is_dialled(certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate[1], certificate[0])
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    receiver = Receiver()
    server = await asyncio.start_server(receiver._accept, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=str(certificate[1]))
    try:
        async with courier(tls=trusting) as sender:
            assert (await send(sender, f"https://hooks.example.test:{port}/")).status == 200
            assert (names, receiver.requests[0].headers["host"]) == (
                ["hooks.example.test"],
                f"hooks.example.test:{port}",
            )
            with pytest.raises(SendError, match="certificate"):
                await send(sender, f"https://other.example.test:{port}/")
        async with courier() as strict:
            with pytest.raises(SendError, match="certificate"):
                await send(strict, f"https://hooks.example.test:{port}/")
    finally:
        server.close()


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://hooks.example.com", "hooks.example.com", "/"),
        ("https://hooks.example.com:443/a?b=c", "hooks.example.com", "/a?b=c"),
        ("http://hooks.example.com:8080/", "hooks.example.com:8080", "/"),
        ("https://bücher.example/", "xn--bcher-kva.example", "/"),
        ("https://[2606:4700::1]/x", "[2606:4700::1]", "/x"),
        ("https://a.example/ü", "a.example", "/%C3%BC"),
    ],
)
def test_an_address_is_written_as_the_wire_wants_it(url: str, host: str, path: str) -> None:
    target = parse_url(url)
    assert (target.host_port_subcomponent, target.raw_path_qs) == (host, path)


@pytest.mark.parametrize("url", ["ftp://a/", "https:///x", "//a/b", "https://me:x@a/", "https://[::1", "nonsense"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        parse_url(url)


@pytest.mark.parametrize("value", ["a\r\nhost: evil", "a\nb", "a\rb", "a\0b"])
async def test_no_header_breaks_out_of_its_line(value: str) -> None:
    async with Receiver.serve() as receiver, courier() as sender:
        with pytest.raises(InputError, match="cannot be written"):
            await send(sender, receiver.url, x=value)
        assert receiver.requests == []


async def test_a_request_has_its_own_headers_and_none_that_a_client_adds() -> None:
    async with Receiver.serve(reply(200, set_cookie="a=b")) as receiver, courier() as sender:
        for _ in range(2):
            await send(sender, receiver.url, b"{}", authorization="Bearer x")
        for request in receiver.requests:
            assert request.headers == {
                "host": f"127.0.0.1:{receiver.port}",
                "authorization": "Bearer x",
                "content-length": "2",
            }


async def test_a_large_body_arrives_whole_and_once_more_on_a_fresh_connection() -> None:
    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        if len(receiver.requests) == 2:
            writer.transport.abort()
        else:
            await reply(200)(request, writer)

    body = bytes(range(256)) * 8_192
    async with Receiver.serve(answer) as receiver, courier() as sender:
        await send(sender, receiver.url)
        assert (await send(sender, receiver.url, body)).status == 200
        assert [len(request.body) for request in receiver.requests] == [2, len(body), len(body)]
        assert receiver.requests[-1].body == body


async def test_a_header_that_is_no_utf8_can_be_kept_and_written_down() -> None:
    async with (
        Receiver.serve(raw(b"HTTP/1.1 200 OK\r\nx: \xff\r\ncontent-length: 0\r\n\r\n")) as receiver,
        courier() as sender,
    ):
        assert (await send(sender, receiver.url)).headers["x"].encode() == "\xff".encode()


async def test_nothing_is_sent_any_more_by_one_that_was_closed() -> None:
    async with Receiver.serve() as receiver:
        async with courier() as sender:
            await send(sender, receiver.url)
        with pytest.raises(SendError, match="has gone"):
            await send(sender, receiver.url)
        assert len(receiver.requests) == 1
