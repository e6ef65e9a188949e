"""The clock of a sign-in: for the whole process, through closed tabs, restarts and a full list."""

import pytest

from core import idle
from core.idle import SignIns

LIMIT = 60.0


@pytest.fixture
def clock(monkeypatch):
    now = [1_000_000.0]
    monkeypatch.setattr(idle.time, "time", lambda: now[0])

    def advance(seconds: float = 0) -> float:
        now[0] += seconds
        return now[0]

    return advance


def token(sub: str, issued: float) -> dict:
    return {"iss": "https://idp.example", "sub": sub, "iat": int(issued), "email": "x@example.org"}


def test_use_keeps_a_sign_in_alive_and_a_pause_ends_it(clock):
    sign_ins, ada = SignIns(), token("ada", clock())
    for _ in range(5):
        clock(LIMIT)
        assert sign_ins.use(ada, LIMIT)
    clock(LIMIT + 1)
    assert sign_ins.is_idle(ada, LIMIT)
    assert not sign_ins.use(ada, LIMIT)
    assert not sign_ins.use(ada, LIMIT), "to try does not count as use"


def test_looking_is_not_using(clock):
    sign_ins, ada = SignIns(), token("ada", clock())
    assert sign_ins.use(ada, LIMIT)
    clock(LIMIT - 1)
    assert not sign_ins.is_idle(ada, LIMIT)
    clock(2)
    assert sign_ins.is_idle(ada, LIMIT)


def test_after_a_restart_an_old_token_counts_as_unused_and_a_new_one_does_not(clock):
    old, new = token("ada", clock()), token("ada", clock(LIMIT + 1))
    assert not SignIns().use(old, LIMIT)
    assert SignIns().use(new, LIMIT)


def test_a_token_without_its_time_is_let_in_nowhere(clock):
    for issued in (None, "soon"):
        assert not SignIns().use({"iss": "x", "sub": "ada", "iat": issued}, LIMIT)


def test_an_ended_sign_in_stays_ended_and_the_next_of_the_same_person_is_another(clock):
    sign_ins, first = SignIns(), token("ada", clock())
    assert sign_ins.use(first, LIMIT)
    sign_ins.end(first)
    assert not sign_ins.use(first, LIMIT)
    assert sign_ins.use(token("ada", clock(1)), LIMIT)
    assert sign_ins.use(token("bob", clock()), LIMIT)


def test_a_full_list_forgets_who_was_away_the_longest(clock):
    sign_ins = SignIns(limit=2)
    ada, bob, eve = (token(name, clock()) for name in ("ada", "bob", "eve"))
    sign_ins.use(ada, LIMIT)
    sign_ins.use(bob, LIMIT)
    clock(LIMIT)
    sign_ins.use(ada, LIMIT)
    sign_ins.use(eve, LIMIT)
    clock(1)
    assert not sign_ins.is_idle(ada, LIMIT)
    assert sign_ins.is_idle(bob, LIMIT)
    assert len(sign_ins._used) == 2
