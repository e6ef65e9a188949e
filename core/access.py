"""Who may do what: roles from a claim of the identity provider, denied by default."""

from collections.abc import Mapping
from dataclasses import dataclass

ROLES = ("viewer", "researcher", "admin")
"""Each role may do all that the ones before it may."""

NEEDED: dict[str, str] = {
    "open": "viewer",
    "download": "researcher",
    "what_if": "researcher",
    "audit": "admin",
}
"""The lowest role that may do an action."""

LOCAL = "local"
"""The name of the only user where sign-in is off and the app answers this machine alone."""


@dataclass(frozen=True)
class Identity:
    """A user and the role that the claim gives; ``role`` is None where it gives none that is known here."""

    who: str
    role: str | None

    def may(self, action: str) -> bool:
        """Return whether the role allows an action of :data:`NEEDED`; an action not listed is denied to all."""
        if self.role not in ROLES or action not in NEEDED:
            return False
        return ROLES.index(self.role) >= ROLES.index(NEEDED[action])


UNKNOWN = Identity("unknown", None)
"""Somebody of whom nothing is known: no role."""


def local_identity() -> Identity:
    """Return the identity of the only user of a machine of one's own."""
    return Identity(LOCAL, "admin")


def identity_of(claims: Mapping[str, object], role_claim: str) -> Identity:
    """Read a user's identity from the claims of an identity token.

    Args:
        claims: the token's claims.
        role_claim: name of the claim with the role, a word or a list of words. Where no claim has the whole name
            (``https://example.org/roles``), dots go into nested claims (``realm_access.roles``).

    Returns:
        The subject's e-mail address, name or ``sub``, and the highest role of :data:`ROLES` in the claim.
    """
    value: object = claims
    for part in [role_claim] if role_claim in claims else role_claim.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    found = {str(word).lower() for word in words} if isinstance(words, list | tuple | set) else set()
    role = next((role for role in reversed(ROLES) if role in found), None)
    who = next((str(claims[key]) for key in ("email", "preferred_username", "sub") if claims.get(key)), "unknown")
    return Identity(who, role)
