"""Roles come from a claim, and what is not allowed is denied."""

import pytest

from core.access import NEEDED, Identity, identity_of, local_identity


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (None, set()),
        ("root", set()),
        ("viewer", {"open"}),
        ("researcher", {"open", "download", "what_if"}),
        ("admin", {"open", "download", "what_if", "audit"}),
    ],
)
def test_each_role_may_do_its_part_and_no_more(role, allowed):
    assert {action for action in NEEDED if Identity("ada", role).may(action)} == allowed


def test_an_action_that_is_not_listed_is_denied_even_to_an_admin():
    assert not local_identity().may("delete")


@pytest.mark.parametrize(
    ("claims", "claim", "role"),
    [
        ({"roles": ["viewer", "admin"]}, "roles", "admin"),
        ({"roles": "researcher"}, "roles", "researcher"),
        ({"roles": "staff, Viewer"}, "roles", "viewer"),
        ({"realm_access": {"roles": ["researcher"]}}, "realm_access.roles", "researcher"),
        ({"realm_access": "admin"}, "realm_access.roles", None),
        ({"roles": ["administrator", "superadmin"]}, "roles", None),
        ({"roles": {"admin": True}}, "roles", None),
        ({"roles": None}, "roles", None),
        ({"roles": 7}, "roles", None),
        ({"groups": ["admin"]}, "roles", None),
        ({"https://example.org/roles": ["viewer"]}, "https://example.org/roles", "viewer"),
        ({"realm_access.roles": ["viewer"], "realm_access": {"roles": ["admin"]}}, "realm_access.roles", "viewer"),
    ],
)
def test_the_highest_known_role_of_the_claim_counts(claims, claim, role):
    assert identity_of({"sub": "1", **claims}, claim).role == role


def test_the_name_is_the_most_readable_claim():
    assert identity_of({"sub": "1", "email": "a@b.example"}, "roles").who == "a@b.example"
    assert identity_of({"sub": "1"}, "roles").who == "1"
    assert identity_of({}, "roles").who == "unknown"
