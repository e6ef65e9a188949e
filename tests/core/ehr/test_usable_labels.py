from datetime import datetime, timedelta

import polars as pl
from polars.testing import assert_frame_equal

from core.ehr.meds_layout import write_events
from core.ehr.store import open_dataset
from core.ehr.usable_labels import LEFT_OUT, usable_labels
from tests.core.ehr.conftest import events_frame

BIRTH = datetime(1970, 5, 1)


def test_labels_of_strangers_and_from_before_birth_are_left_out_and_counted(tmp_path, two_subjects):
    unborn = events_frame([(9, datetime(2000, 1, 1), "LOINC/718-7", 1.0)])  # no birth is known
    write_events(tmp_path, 0, pl.concat([two_subjects, unborn]))
    rows = [
        (7, datetime(2010, 3, 4), True, None),
        (3, BIRTH, False, None),  # at birth itself there is a record
        (8, datetime(2010, 3, 4), True, "unknown_subject"),
        (3, BIRTH - timedelta(microseconds=1), True, "before_birth"),
        (9, datetime(1900, 1, 1), True, None),
        (2, datetime(1900, 1, 1), True, "unknown_subject"),
    ]
    schema = {"subject_id": pl.Int64, "prediction_time": pl.Datetime("us"), "value": pl.Boolean, "kind": pl.String}
    labels = pl.DataFrame(rows, schema=schema, orient="row")
    usable = usable_labels(open_dataset(tmp_path), labels.drop("kind"))
    assert_frame_equal(usable.frame, labels.filter(pl.col("kind").is_null()).drop("kind"))
    assert usable.left_out == {"unknown_subject": 2, "before_birth": 1} and set(usable.left_out) <= set(LEFT_OUT)
    assert usable_labels(open_dataset(tmp_path), usable.frame).left_out == {}
