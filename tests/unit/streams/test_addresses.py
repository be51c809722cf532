"""Addresses as people write them: what is one, and what is said about what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.addresses import parsed


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9092", "127.0.0.1", 9092),
        ("kafka-1.internal.:1", "kafka-1.internal.", 1),
        ("my_broker:65535", "my_broker", 65535),
        ("[::1]:9092", "::1", 9092),
        ("[fe80::1%eth0]:9092", "fe80::1%eth0", 9092),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parsed(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is no address; give host:port"),
        ("::1:9092", r"'::1:9092'.*; give"),
        ("a:b:c", "'b:c' in 'a:b:c' is no port"),
        ("a:99999", "'99999' in 'a:99999' is no port; give a number between 1 and 65535"),
        ("a:0", "no port"),
        ("a:-1", "no port"),
        ("a:", "'' in 'a:' is no port"),
        ("a:٣", "no port"),
        ("a", "'a' has no port; give host:port"),
        (":9092", "'' in ':9092' is no host"),
        ("a b:9092", "no host"),
        ("a..b:9092", "no host"),
        (f"{'a' * 64}:9092", "no host"),
        ("[::1:9092", "no address"),
        ("[nonsense]:9092", r"'\[nonsense\]' in .* is no host"),
    ],
)
def test_what_is_no_address_is_told_with_what_would_be(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parsed(text)


def test_a_port_may_be_left_out_where_there_is_a_default() -> None:
    assert parsed("a", default_port=80) == ("a", 80)
    assert parsed("[::1]", default_port=80) == ("::1", 80)


@given(st.text(st.sampled_from("a1.:[]%-_/, \n"), max_size=12))
def test_no_text_is_anything_but_an_address_or_a_fault_that_is_told(text: str) -> None:
    try:
        host, port = parsed(text)
    except ValueError:
        return
    assert host
    assert 1 <= port <= 65535
