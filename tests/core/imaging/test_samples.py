import json

import numpy as np
import pytest
from PIL import Image

from core.cli import main
from core.errors import InputError
from core.imaging.phantoms import draw_phantom
from core.imaging.readers import read_image
from core.imaging.samples import SEEDS, list_samples, write_samples


def test_the_shipped_samples_are_what_the_generator_draws():
    samples = list_samples()
    assert {(sample.kind, sample.seed) for sample in samples} == set(SEEDS)
    for sample in samples:
        phantom = draw_phantom(sample.kind, sample.seed)
        image, truth = read_image(sample.image.read_bytes()), np.asarray(Image.open(sample.truth))
        # other versions of scipy and Pillow may round a pixel otherwise
        assert np.abs(image.display.astype(int) - _grey(phantom.image).astype(int)).mean() < 0.5
        assert (truth != phantom.mask).mean() < 0.001
        assert sample.model and "drawn" in sample.title and sample.classes == phantom.classes


def _grey(image):
    even = image.ndim == 3 and (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()
    return image[..., 0] if even else image


def test_writing_and_listing(tmp_path):
    samples = write_samples(tmp_path / "new", [("brain", 3)])
    assert [sample.name for sample in samples] == ["brain-3"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "brain-3.json",
        "brain-3.png",
        "brain-3.truth.png",
    ]
    assert list_samples(tmp_path / "none") == []
    (tmp_path / "new" / "brain-3.json").write_text(json.dumps({"title": "x"}))
    with pytest.raises(InputError, match="damaged"):
        list_samples(tmp_path / "new")


def test_command(tmp_path, capsys):
    assert main(["draw-samples", str(tmp_path), "--kind", "brain", "--seed", "5", "--count", "2"]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["brain-5.png", "brain-6.png"]
    assert main(["draw-samples", str(tmp_path), "--kind", "brain", "--count", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
