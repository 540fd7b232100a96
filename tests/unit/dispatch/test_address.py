"""Which addresses may be reached."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill_operator.dispatch.address import AddressPolicy
from support.hosts import ALLOWED

OPEN = AddressPolicy()
PLAIN = [host for host in ALLOWED if ":" not in host]


@pytest.mark.parametrize("address", ALLOWED)
def test_the_open_internet_may_be_reached(address: str) -> None:
    assert OPEN.find_fault(address) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_whatever_carries_it(address: ipaddress.IPv4Address) -> None:
    judged = OPEN.find_fault(str(address)) is None
    carried = [f"::ffff:{address}", f"64:ff9b::{address}", f"2606:4700::5efe:{address}"]
    assert [OPEN.find_fault(one) is None for one in carried] == [judged] * 3


@given(st.ip_addresses(v=4))
def test_what_python_knows_to_be_private_is_never_reached(address: ipaddress.IPv4Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert OPEN.find_fault(str(address)) is not None


@given(st.ip_addresses(v=6))
def test_the_same_of_ipv6(address: ipaddress.IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved or address.sixtofour or address.teredo:
        carries = address.ipv4_mapped or address in ipaddress.IPv6Network("64:ff9b::/96")
        assert OPEN.find_fault(str(address)) is not None or carries


def test_a_network_may_be_allowed_and_a_part_of_it_denied() -> None:
    policy = AddressPolicy(allow=["10.0.0.0/8", "::1/128"], deny=["10.96.0.0/12", "34.0.0.0/8"])
    assert policy.find_fault("10.1.2.3") is None
    assert policy.find_fault("::1") is None
    assert policy.find_fault("::ffff:10.1.2.3") is None
    assert policy.find_fault("10.97.0.1") == "denied by the settings"
    assert policy.find_fault("64:ff9b::a61:1") == "denied by the settings"
    assert policy.find_fault("34.1.1.1") == "denied by the settings"
    assert policy.find_fault("192.168.0.1") == "private"


def test_no_setting_opens_the_metadata_of_a_cloud() -> None:
    policy = AddressPolicy(allow=["0.0.0.0/0", "::/0"])
    assert policy.find_fault("10.0.0.1") is None
    for address in (
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fd00:ec2::254",
        "168.63.129.16",
    ):
        assert policy.find_fault(address) == "the metadata service of a cloud"


def test_a_scope_hides_nothing() -> None:
    assert OPEN.find_fault("fe80::1%eth0") == "link-local"
    assert AddressPolicy(allow=["fe80::/10"]).find_fault("fe80::1%eth0") is None


@pytest.mark.parametrize("text", ["", "example.com", "1.2.3", "0x7f.1", "1.2.3.4.5", ":::"])
def test_what_is_no_address_is_not_reached(text: str) -> None:
    assert OPEN.find_fault(text) == "no address"
