import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from core.errors import InputError
from core.imaging.overlap import IGNORE
from core.imaging.readers import read_image
from core.imaging.training.augment import EraseObjects, augment, build_pipeline
from core.imaging.training.cases import ALIKE, Case, _thumbnail, load_cases, person, split_cases
from core.imaging.training.recipes import RECIPES, get_recipe


def cases_of(groups: list[str]) -> list[Case]:
    blank = np.zeros((4, 4), np.uint8)
    return [Case(f"{index:04d}", group, group, blank, blank) for index, group in enumerate(groups)]


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_parts(seed):
    cases = cases_of([f"p{index // 3}" for index in range(120)])
    split = split_cases("chest-xray", cases, (0.1, 0.2), seed)
    parts = [{case.group for case in part} for part in (split.train, split.validation, split.test)]
    assert [len(part) for part in parts] == [28, 4, 8]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert sum(len(part) for part in (split.train, split.validation, split.test)) == 120


def test_a_split_depends_on_the_seed_alone():
    cases = cases_of([f"p{index}" for index in range(50)])
    first, again, other = (split_cases("nuclei", cases, (0.1, 0.2), seed) for seed in (1, 1, 2))
    assert [case.name for case in first.test] == [case.name for case in again.test]
    assert [case.name for case in first.test] != [case.name for case in other.test]


def test_frames_alike_a_held_out_one_are_dropped():
    rng = np.random.default_rng(0)
    frames = rng.uniform(0, 255, (204, 96, 80)).astype(np.uint8)
    blank = np.zeros((96, 80), np.uint8)
    groups = [f"block{index // 12:02d}" for index in range(204)]
    cases = [Case(f"{i:04d}", group, str(i), frames[i], blank) for i, group in enumerate(groups)]
    whole = split_cases("ultrasound-nerve", cases, (0.1, 0.2), 0)
    assert sum(len(part) for part in (whole.train, whole.validation, whole.test)) == 204  # noise is like nothing
    twins = {int(whole.train[3].name): whole.test[0], int(whole.validation[1].name): whole.test[2]}
    twins[int(whole.train[9].name)] = whole.validation[0]
    for index, held in twins.items():  # brighter, of less contrast, noisy: still the same frame
        near = (held.pixels * 0.7 + rng.uniform(20, 70, held.pixels.shape)).astype(np.uint8)
        cases[index] = Case(cases[index].name, groups[index], str(index), near, blank)
    split = split_cases("ultrasound-nerve", cases, (0.1, 0.2), 0)
    kept = {int(case.name) for case in split.train + split.validation + split.test}
    assert kept == set(range(204)) - set(twins)


def test_flat_frames_are_like_none():
    cases = cases_of([f"block{index // 12:02d}" for index in range(204)])
    assert len(split_cases("ultrasound-nerve", cases, (0.1, 0.2), 0).train) == 144


def test_the_ultrasound_frames_are_in_no_order(shared_data):
    """Why neighbours in number are not dropped: they are no more alike than any two frames are."""
    cases = load_cases("ultrasound-nerve", shared_data / "ultrasound-nerve")
    thumbnails = np.stack([_thumbnail(case.pixels) for case in cases])
    numbers = np.array([int(case.name) for case in cases])
    alike, apart = thumbnails @ thumbnails.T, np.abs(numbers[:, None] - numbers)
    assert abs(alike[(apart > 0) & (apart <= 2)].mean() - alike[apart > 12].mean()) < 0.05
    split = split_cases("ultrasound-nerve", cases, (0.1, 0.2), 0)
    left, held = (
        np.stack([_thumbnail(case.pixels) for case in part]) for part in (split.train + split.validation, split.test)
    )
    assert (left @ held.T).max() < ALIKE


@pytest.mark.parametrize(
    ("stem", "who"),
    [
        ("person325_virus_659", "person325"),
        ("person0325_bacteria_1", "person325"),
        ("IM-0282-0001", "IM282"),
        ("NORMAL2-IM-0282-0001-0001", "IM282"),
    ],
)
def test_persons_of_file_names(stem, who):
    assert person(stem) == who


def test_a_name_without_a_person_is_refused():
    with pytest.raises(InputError):
        person("scan1")


def test_a_real_folder(shared_data):
    cases = load_cases("ultrasound-nerve", shared_data / "ultrasound-nerve")
    assert len(cases) == 204
    for case in cases[::20]:
        assert case.pixels.shape == case.mask.shape and set(np.unique(case.mask)) <= {0, 1, 2}


def test_persons_of_the_real_radiographs(shared_data):
    stems = [path.stem for path in (shared_data / "chest-xray" / "images").glob("*.jpg")]
    split = split_cases("chest-xray", cases_of([person(stem) for stem in stems]), (0.1, 0.2), 0)
    assert len(stems) == 344 and not {case.group for case in split.test} & {
        case.group for case in split.train + split.validation
    }


def test_training_sees_what_the_reader_shows(shared_data, tmp_path):
    source = shared_data / "chest-xray"
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for path in sorted((source / kind).iterdir())[:20]:
            (tmp_path / kind / path.name).symlink_to(path)
    case = load_cases("chest-xray", tmp_path)[5]
    image = read_image((source / "images" / f"{case.name}.jpg").read_bytes())
    np.testing.assert_array_equal(image.pixels, case.pixels)
    assert set(np.unique(case.mask)) <= {0, 1, IGNORE}


def test_hippocampus_slices_are_what_the_reader_shows(shared_data, tmp_path):
    source = shared_data / "hippocampus"
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for path in sorted((source / kind).glob("*.nii.gz"))[:10]:
            (tmp_path / kind / path.name).symlink_to(path)
    cases = load_cases("hippocampus", tmp_path)
    case = cases[17]
    stem, index = case.name.split(":")
    data = (tmp_path / "images" / f"{stem}.nii.gz").read_bytes()
    image = read_image(data, axis="sagittal", slice=int(index))
    np.testing.assert_allclose(image.pixels, case.pixels, rtol=1e-6)
    truth = read_image((tmp_path / "labels" / f"{stem}.nii.gz").read_bytes(), axis="sagittal", slice=int(index))
    np.testing.assert_array_equal(truth.pixels, case.mask)
    shown = [case.mask for case in cases if {1, 2} <= set(np.unique(case.mask))]
    anterior, posterior = (np.mean([np.argwhere(mask == value)[:, 1].mean() for mask in shown]) for value in (1, 2))
    assert anterior < posterior  # anterior is on the left


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="images"):
        load_cases("nuclei", tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="fewer than 10"):
        load_cases("nuclei", tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "images" / "a.png")
    with pytest.raises(InputError, match="no mask"):
        load_cases("nuclei", tmp_path)
    with pytest.raises(InputError, match="no segmenter recipe"):
        get_recipe("elbow")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_augmentation_is_fixed_by_its_seed_and_keeps_its_promises(name):
    recipe = get_recipe(name)
    rng = np.random.default_rng(0)
    channels, n = recipe.preprocessing.channels, len(recipe.classes)
    image = rng.uniform(0, 1, (70, 90, channels)).astype(np.float32)
    mask = rng.integers(0, n, (70, 90)).astype(np.uint8)
    pipeline = build_pipeline(recipe.augmentation, 64 if recipe.crop else 0)
    results = [augment(pipeline, image, mask, seed) for seed in (1, 1, *range(2, 30))]
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert not np.array_equal(results[1][0], results[2][0])
    size = (64, 64) if recipe.crop else (70, 90)
    for picture, labels in results:
        assert picture.shape == (*size, channels) and labels.shape == size
        assert picture.dtype == np.float32 and picture.min() >= 0 and picture.max() <= 1
        assert set(np.unique(labels)) <= {*range(n), IGNORE}


def test_image_and_mask_move_together():
    pipeline = build_pipeline("ultrasound")
    image = np.zeros((128, 128, 1), np.float32)
    image[40:90, 30:80] = 1.0
    mask = (image[..., 0] > 0.5).astype(np.uint8)
    for seed in range(20):
        picture, labels = augment(pipeline, image, mask, seed)
        if labels.sum() > 500 and (labels == 0).any():
            assert picture[labels == 1].mean() > picture[labels == 0].mean() + 0.3


def test_objects_are_painted_over_from_around_them():
    rng = np.random.default_rng(0)
    mask = np.zeros((60, 80), np.uint8)
    mask[20:30, 10:25] = 1
    mask[40:50, 60:70] = 1
    image = np.where(mask, 0.1, rng.uniform(0.7, 0.8, mask.shape))[..., None].repeat(3, 2).astype(np.float32)
    mask[5:9, 5:9] = IGNORE
    out = EraseObjects(margin=3, p=1.0)(image=image, mask=mask)
    assert out["image"].min() > 0.69 and out["image"].shape == image.shape and out["image"].dtype == np.float32
    far = ~binary_dilation(mask > 0, np.ones((7, 7)))
    np.testing.assert_array_equal(out["image"][far], image[far])
    np.testing.assert_array_equal(out["mask"], np.where(mask == IGNORE, IGNORE, 0))


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_nothing_is_painted_over_where_nothing_is_or_nothing_would_be_left(share):
    image = np.random.default_rng(0).uniform(0, 1, (50, 50, 1)).astype(np.float32)
    mask = (np.arange(2500).reshape(50, 50) < share * 2500).astype(np.uint8)
    out = EraseObjects(margin=3, p=1.0)(image=image, mask=mask)
    np.testing.assert_array_equal(out["image"], image)
    np.testing.assert_array_equal(out["mask"], mask)
