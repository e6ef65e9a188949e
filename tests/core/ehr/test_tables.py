from collections import Counter
from pathlib import Path

import pytest

from core.ehr.sources import find_tables
from core.ehr.tables import MALFORMED, sniff, table_file
from core.errors import InputError


def rows_of(path: Path, text: str | bytes, counter: Counter | None = None) -> list[tuple]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [row for batch in table_file(path).batches(("a",), ("b", "absent"), counter) for row in batch.rows()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n", [("1", "2", None)]),
        ("\ufeffA,B\r\n1,2\r\n", [("1", "2", None)]),
        ("b\ta\n2\t1\n", [("1", "2", None)]),
        ('a\tb\n"open\t2\n', [('"open', "2", None)]),
        ('a,b\n"x, ""y""\nz",\n', [('x, "y"\nz', None, None)]),
        ("a;b\n1;2\n", [("1", "2", None)]),
        (",a,b\n0,1,2\n", [("1", "2", None)]),
        ("a,b\nNULL,\\N\n,x\n", [(None, None, None), (None, "x", None)]),
        ("a,b\n", []),
        ("a,b", []),
        ("a,b\n1,2", [("1", "2", None)]),
    ],
)
def test_delimited_text_in_its_usual_forms(tmp_path, text, expected):
    assert rows_of(tmp_path / "t.csv", text) == expected


def test_rows_of_another_width_are_counted(tmp_path):
    counter: Counter[str] = Counter()
    assert rows_of(tmp_path / "t.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n", counter) == [("1", "2", None), ("7", "8", None)]
    assert counter == {MALFORMED: 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("x,y\n1,2\n", r"lacks the column a \(it has x, y\)"),
        ("a,b\n1,2\n3", "ends in the middle of a row"),
        ("a,b\n°C,2\n".encode("latin-1"), "not UTF-8"),
        (b"a,b\n1,2\n3,\xe9\xe9,4\n5,6\n", "not UTF-8"),
        (b"a\x00,b\n1,2\n", "not a CSV"),
        ('a,b\n"1,2\n3,4\n5,6\n', "quote that is never closed"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path / "t.csv", text)


def test_sniff_names_unnamed_columns():
    assert sniff(b",x,y\n", "t") == (["_unnamed_0", "x", "y"], ",")


def test_hidden_and_foreign_files_are_passed_over(tmp_path):
    for name in ("PERSON.csv", "._PERSON.csv", "notes.pdf", "__MACOSX/PERSON.csv", "deep/a/MEASUREMENT.CSV"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    with find_tables(tmp_path) as tables:
        assert {name: [file.name for file in files] for name, files in tables.items()} == {
            "person": ["PERSON.csv"],
            "measurement": ["deep/a/MEASUREMENT.CSV"],
        }


def test_a_letter_of_two_bytes_may_lie_across_two_blocks(tmp_path):
    text = "a,b\n" + "é,µ\n" * 3_000_000  # more than one block of the reader
    rows = sum(batch.height for batch in table_with(tmp_path, text).batches(("a",)))
    assert rows == 3_000_000


def table_with(folder: Path, text: str):
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return table_file(path)
