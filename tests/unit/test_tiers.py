"""Who shares a bucket."""

from __future__ import annotations

import pytest

from apps.orgs.tiers import SIGN_IN_FIGURES, sign_in_bucket


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ],
)
def test_sign_ins_are_counted_by_address_and_by_the_network_of_ipv6(one: str, other: str, shared: bool) -> None:
    assert (sign_in_bucket(one).key == sign_in_bucket(other).key) is shared


def test_each_address_has_a_node_of_its_own_choice_in_a_cluster() -> None:
    bucket = sign_in_bucket("192.0.2.1")
    assert bucket.key == "hub:limit:{address:192.0.2.1}:auth/token"
    assert (bucket.per_minute, bucket.burst) == SIGN_IN_FIGURES == (10, 10)
