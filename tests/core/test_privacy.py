"""Pseudonyms: stable under a key, unlike under another, unguessable without it."""

import multiprocessing
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.privacy import load_key, pseudonym
from core.settings import Settings

KEY = b"k" * 32


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_pseudonym_is_stable_and_does_not_show_the_id(subject_id):
    name = pseudonym(subject_id, KEY)
    assert name == pseudonym(subject_id, KEY) != pseudonym(subject_id, b"another key of some length")
    assert len(name) == 12 and name.startswith("P-")
    assert len(str(subject_id)) < 6 or str(abs(subject_id)) not in name


def test_a_hundred_thousand_subjects_do_not_collide():
    assert len({pseudonym(i, KEY) for i in range(100_000)}) == 100_000


def test_the_key_is_made_once_and_private(tmp_path):
    settings = Settings(_env_file=None, home=tmp_path / "home")
    key = load_key(settings)
    assert key == load_key(settings) and len(key) == 64
    assert stat.S_IMODE((tmp_path / "home" / "id.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["id.key"]


def _load(home):
    return load_key(Settings(_env_file=None, home=home))


def test_processes_that_start_together_agree_on_the_key(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(_load, [tmp_path / "home"] * 6))) == 1


def test_a_short_key_is_refused():
    with pytest.raises(InputError, match="shorter than 16"):
        load_key(Settings(_env_file=None, id_key="short"))


@pytest.mark.parametrize("kept", ["", "\n", "a" * 15])
def test_a_kept_key_that_is_empty_or_short_is_refused(tmp_path, kept):
    (tmp_path / "id.key").write_text(kept)
    with pytest.raises(InputError, match=r"id\.key is damaged"):
        load_key(Settings(_env_file=None, home=tmp_path))
