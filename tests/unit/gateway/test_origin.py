"""Whether a request comes from a page of ours, whatever its headers say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill_operator.gateway.access.origin import Source, find_foreign, find_rebound


@pytest.mark.parametrize("origin", ["http://[", "http://]", "https://[::1", "null"])
def test_a_malformed_origin_is_a_foreign_one(origin: str) -> None:
    assert find_foreign(Source(host="jetmill.example", origin=origin)) is not None


@pytest.mark.parametrize("host", ["[", "[::1", "localhost.example"])
def test_a_malformed_host_is_not_loopback(host: str) -> None:
    assert find_rebound(host) is not None


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_header_breaks_it(host: str, origin: str) -> None:
    find_foreign(Source(host=host, origin=origin))
    find_rebound(host)


def test_our_own_page_is_none() -> None:
    assert find_foreign(Source(host="jetmill.example:8420", origin="http://jetmill.example:8420")) is None
    assert find_rebound("127.0.0.1:8420") is None
