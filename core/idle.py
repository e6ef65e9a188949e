"""Since when a sign-in has not been used: one list for the whole process, so that the clock runs without an open tab.

A sign-in is named by its token: issuer, subject and time of issue. Of one that is not in the list (the process has
begun anew since, or the list was full) all that is known is when it began, so it counts as unused since then.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

LIMIT = 10_000


class SignIns:
    """When each sign-in was last used; shared by threads. The one not used for the longest goes first."""

    def __init__(self, limit: int = LIMIT):
        self._limit = limit
        self._lock = threading.Lock()
        self._used: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def is_idle(self, claims: Mapping[str, object], seconds: float) -> bool:
        """Return whether a sign-in has not been used for longer than ``seconds``, or has ended.

        Args:
            claims: the token's claims.
            seconds: the time allowed without use.
        """
        with self._lock:
            return self._idle(claims, seconds)

    def use(self, claims: Mapping[str, object], seconds: float) -> bool:
        """Note that a sign-in is used now; return False, and note nothing, where it :meth:`is_idle`."""
        with self._lock:
            if self._idle(claims, seconds):
                return False
            self._note(claims, time.time())
            return True

    def end(self, claims: Mapping[str, object]) -> None:
        """Let nobody use a sign-in any more, in whatever tab or with a copy of its cookie."""
        with self._lock:
            self._note(claims, 0.0)

    def _idle(self, claims: Mapping[str, object], seconds: float) -> bool:
        issued = claims.get("iat")
        began = float(issued) if isinstance(issued, int | float) else 0.0  # OpenID Connect requires it
        return time.time() - self._used.get(_name(claims), began) > seconds

    def _note(self, claims: Mapping[str, object], when: float) -> None:
        self._used[_name(claims)] = when
        self._used.move_to_end(_name(claims))
        while len(self._used) > self._limit:
            self._used.popitem(last=False)


def _name(claims: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(str(claims.get(key)) for key in ("iss", "sub", "iat"))
