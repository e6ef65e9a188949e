import copy
import json
import os

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from core.errors import InputError, MissingError
from core.imaging import segmenters
from core.imaging.cams import explain
from core.imaging.cards import class_colours
from core.imaging.regions import Region
from core.imaging.segmenters import files_changed, list_segmenters, load_segmenter, segment, wrap_model
from core.settings import Settings
from tests.core.imaging.nets import NATIVE, picture, save_folder, small_segmenter, small_unet


def test_a_folder_is_loaded_as_it_was_saved(tmp_path):
    model = small_unet()
    segmenter = load_segmenter(save_folder(tmp_path / "mine", model))
    assert (segmenter.name, segmenter.title) == ("mine", "Test")
    assert segmenter.classes == ("background", "left", "right")
    assert len(segmenter.weights_sha256) == 64
    image = picture(64, 96)
    x = torch.from_numpy(image.transpose(2, 0, 1)[None])
    with torch.no_grad():
        expected = model(x)[0].numpy()
    found = segment(segmenter, image)
    np.testing.assert_allclose(found.logits, expected, rtol=1e-4, atol=1e-5)
    assert np.array_equal(found.mask, expected.argmax(0))
    assert sum(found.areas(3)) == 64 * 96


def test_save_pretrained_of_segmentation_models_is_read(tmp_path):
    model = smp.Unet("resnet18", encoder_weights=None, classes=2, in_channels=1, decoder_channels=(16, 8, 8, 8, 8))
    model.eval().save_pretrained(tmp_path / "theirs")
    segmenter = load_segmenter(tmp_path / "theirs", device="cpu")
    assert segmenter.classes == ("class 0", "class 1")
    assert explain(segmenter, picture(40, 50, 1), Region("image")).n_pixels > 0


@pytest.mark.parametrize("kind", ["state", "lightning", "whole"])
def test_torch_files_are_read_without_unpickling(tmp_path, kind):
    folder = save_folder(tmp_path / "m")
    model = small_unet()
    state = model.state_dict()
    wrapped = {"state_dict": {"model." + key: value for key, value in state.items()}, "epoch": 1}
    torch.save({"state": state, "lightning": wrapped, "whole": model}[kind], folder / "weights.pth")
    if kind == "whole":
        with pytest.raises(InputError, match=r"read safely"):
            load_segmenter(folder)
    else:
        assert torch.equal(load_segmenter(folder).model.segmentation_head[0].bias, model.segmentation_head[0].bias)


def test_a_pickle_is_not_executed(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    folder = save_folder(tmp_path / "m")
    (folder / "weights.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError):
        load_segmenter(folder)
    assert not (tmp_path / "ran").exists()


def test_bad_folders_say_what_is_wrong(tmp_path):
    with pytest.raises(MissingError, match="no segmenter 'nothing'"):
        load_segmenter("nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match=r"no config\.json"):
        load_segmenter(tmp_path / "empty")
    with pytest.raises(MissingError, match="no weights"):
        load_segmenter(save_folder(tmp_path / "a"))
    folder = save_folder(tmp_path / "b", small_unet())
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        load_segmenter(folder)
    folder = save_folder(tmp_path / "c", small_unet())
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="damaged"):
        load_segmenter(folder)
    with pytest.raises(InputError, match="do not fit"):
        load_segmenter(save_folder(tmp_path / "d", small_unet(), encoder_name="resnet34"))
    with pytest.raises(InputError, match="names 2 classes, the network gives 3"):
        load_segmenter(save_folder(tmp_path / "e", small_unet(), card="classes: [a, b]\n"))
    with pytest.raises(InputError, match="takes 3 channels"):
        load_segmenter(save_folder(tmp_path / "f", small_unet(), card="preprocessing: {channels: 1}\n"))
    with pytest.raises(InputError, match="not YAML"):
        load_segmenter(save_folder(tmp_path / "g", small_unet(), card="a: [b"))
    with pytest.raises(InputError, match="not a mapping"):
        load_segmenter(save_folder(tmp_path / "h", small_unet(), card="- a\n"))


def test_a_softmax_in_the_config_is_left_out(tmp_path):
    plain = load_segmenter(save_folder(tmp_path / "plain", small_unet()))
    folder = save_folder(tmp_path / "soft", small_unet(), activation="softmax2d")
    segmenter = load_segmenter(folder)
    assert "logits" in segmenter.notes[0]
    assert explain(segmenter, picture(), Region("image")).score == explain(plain, picture(), Region("image")).score


@pytest.mark.parametrize("activation", ["sigmoid", "LogSigmoid"])
def test_classes_that_may_overlap_are_refused(tmp_path, activation):
    folder = save_folder(tmp_path / "multi", small_unet(), activation=activation)
    with pytest.raises(InputError, match=rf"{activation} over 3 classes, so they may overlap.*; give each class"):
        load_segmenter(folder)
    with pytest.raises(InputError, match="Sigmoid over 3 classes"):
        wrap_model(small_unet(activation="sigmoid"), preprocessing=NATIVE)
    one = save_folder(tmp_path / "one", small_unet(1), "classes: [a, b]", classes=1, activation=activation)
    assert load_segmenter(one).classes == ("a", "b")


def test_what_is_run_is_tried_when_it_is_loaded(monkeypatch):
    def cannot(*_):
        raise RuntimeError("sizes differ")

    def spoil(network, channels):
        network = copy.deepcopy(network)
        network.decoder.register_forward_pre_hook(cannot)
        return network

    monkeypatch.setattr(segmenters, "fold_batch_norms", spoil)
    with pytest.raises(InputError, match=r"cannot be run on an image once it is made ready \(sizes differ\)"):
        wrap_model(small_unet(), preprocessing=NATIVE)


def test_a_view_that_is_no_axis_is_refused(tmp_path):
    folder = save_folder(tmp_path / "m", small_unet(), card="view: side\n")
    with pytest.raises(InputError, match="view 'side' is no axis; write sagittal, coronal, axial"):
        load_segmenter(folder)


def test_ones_own_models_are_listed_beside_the_shipped(tmp_path, monkeypatch):
    save_folder(tmp_path / "own" / "mine", small_unet())
    (tmp_path / "own" / "not-a-model").mkdir()
    monkeypatch.setattr(segmenters, "SHIPPED_MODELS", tmp_path / "none")
    monkeypatch.setattr(segmenters, "get_settings", lambda: Settings(models=tmp_path / "own", device="cpu"))
    assert list(list_segmenters()) == ["mine"]
    assert load_segmenter("mine").name == "mine"


@pytest.mark.parametrize("name", ["config.json", "card.yaml", "model.safetensors"])
def test_a_changed_file_of_a_folder_is_seen(tmp_path, name):
    folder = save_folder(tmp_path / "mine", small_unet())
    before = files_changed(folder)
    assert files_changed(folder) == before
    os.utime(folder / name, ns=(1, 1))
    assert files_changed(folder) != before


def test_class_names_in_several_forms(tmp_path):
    for index, block in enumerate(("[a, b, c]", "{0: a, 1: b, 2: c}", "[{name: a}, {name: b}, {name: c}]")):
        folder = save_folder(tmp_path / str(index), small_unet(), card=f"classes: {block}\n")
        assert load_segmenter(folder).classes == ("a", "b", "c")


def test_classes_have_the_card_s_colours_or_ours(tmp_path):
    card = 'classes: [{name: a}, {name: b, colour: "#F0E442"}, {name: c, color: navy}]\n'
    found = load_segmenter(save_folder(tmp_path / "own", small_unet(), card=card)).colours
    assert found.dtype == np.uint8 and found.tolist() == [[0, 0, 0], [0xF0, 0xE4, 0x42], [0, 0, 128]]
    ours = load_segmenter(save_folder(tmp_path / "ours", small_unet(), card="classes: [a, b, c]\n")).colours
    assert len({tuple(colour) for colour in ours.tolist()}) == 3
    many = class_colours({}, 9)
    assert many.shape == (9, 3) and many[1].tolist() == many[6].tolist() != many[2].tolist()
    with pytest.raises(InputError, match=r"a colour that is none .*write it as"):
        load_segmenter(
            save_folder(tmp_path / "bad", small_unet(), card="classes: [a, {name: b, colour: blurple}, c]\n")
        )


def test_segmentation_in_tiles_covers_the_image():
    segmenter = small_segmenter(tile=96)
    found = segment(segmenter, picture(150, 230))
    assert found.mask.shape == (150, 230) and np.isfinite(found.logits).all()


def test_the_networks_stride_wins_over_the_cards():
    model = small_unet()
    import dataclasses

    segmenter = wrap_model(model, preprocessing=dataclasses.replace(NATIVE, stride=8))
    assert segmenter.preprocessing.stride == 32


def test_config_is_json_of_an_object(tmp_path):
    folder = save_folder(tmp_path / "x", small_unet())
    (folder / "config.json").write_text(json.dumps([1]))
    with pytest.raises(InputError, match="not an object"):
        load_segmenter(folder)
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="not JSON"):
        load_segmenter(folder)
    with pytest.raises(InputError, match="not YAML"):
        load_segmenter(save_folder(tmp_path / "deep", small_unet(), card="[" * 100_000))
