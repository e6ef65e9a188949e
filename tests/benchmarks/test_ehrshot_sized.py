"""The benchmarks' made-up release is what they say it is, and imports without a rejected row."""

from benchmarks._ehrshot_sized import write_release
from core.ehr.importers.ehrshot import import_ehrshot
from core.ehr.store import open_dataset
from core.ehr.tasks import TASKS
from core.settings import get_settings


def test_a_small_one_imports_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(get_settings(), "home", tmp_path / "home")
    report = import_ehrshot(write_release(tmp_path / "release", 40, 20_000), tmp_path / "ds")
    assert report.subjects == 40
    assert abs(report.events - 20_000) < 500
    assert (sum(report.rejected.values()), sum(report.repaired.values()), report.tasks_missing) == (0, 0, {})
    dataset = open_dataset(tmp_path / "ds")
    assert dataset.tasks() == sorted(task.id for task in TASKS)
    assert dataset.events(int(dataset.index.subject_ids[0]))["code"][0] == "SNOMED/3950001"
