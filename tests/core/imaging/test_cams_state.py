"""Each call stands for itself: nothing of the network changes, whatever came before, beside it or went wrong."""

import threading

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.imaging.cams import explain, explain_regions
from core.imaging.regions import Region
from core.imaging.segmenters import segment, wrap_model
from tests.core.imaging.nets import NATIVE, picture, small_segmenter, small_unet


def test_many_regions_equal_one_by_one():
    segmenter = small_segmenter()
    boxes = [Region("box", box=(4 * i, 4 * i, 4 * i + 20, 4 * i + 20)) for i in range(5)]
    pixels = [Region("pixel", point=(10 * i, 5 * i)) for i in range(6)]
    regions = [*boxes, *pixels, Region("image")]
    together = explain_regions(segmenter, picture(), regions, 1)
    for region, result in zip(regions, together, strict=True):
        alone = explain(segmenter, picture(), region, 1)
        assert result.score == alone.score
        for name in result.maps:
            np.testing.assert_allclose(
                result.maps[name].seg_hires_grad, alone.maps[name].seg_hires_grad, rtol=1e-5, atol=1e-7
            )


def test_an_image_can_be_explained_after_it_was_segmented():
    """Segmenting runs in inference mode: what it makes on first use must still take part in a graph."""
    first, second = small_segmenter(), small_segmenter()
    segment(first, picture())
    ours, theirs = (explain(segmenter, picture(), Region("image"), 1) for segmenter in (first, second))
    assert ours.score == theirs.score


def test_threads_on_one_model_equal_the_serial_result():
    segmenter = small_segmenter()
    images = [picture(seed=seed) for seed in range(4)]
    serial = [explain(segmenter, image, Region("image"), 1) for image in images]
    found: dict[int, object] = {}
    failures: list[BaseException] = []

    def work(index):
        try:
            for _ in range(3):
                found[index] = explain(segmenter, images[index], Region("image"), 1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for index, expected in enumerate(serial):
        for name in expected.maps:
            np.testing.assert_array_equal(expected.maps[name].seg_grad, found[index].maps[name].seg_grad)
            np.testing.assert_array_equal(expected.maps[name].seg_hires_grad, found[index].maps[name].seg_hires_grad)


def state(model):
    return {
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
        "gradients": [p.grad is None for p in model.parameters()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "training": [m.training for m in model.modules()],
        "values": {key: value.clone() for key, value in model.state_dict().items()},
    }  # fmt: skip


def assert_untouched(model, before):
    after = state(model)
    for key in ("hooks", "gradients", "requires_grad", "training"):
        assert after[key] == before[key], key
    assert all(torch.equal(value, after["values"][key]) for key, value in before["values"].items())


@pytest.mark.parametrize("frozen", [True, False])
def test_nothing_of_the_network_changes(frozen):
    model = small_unet().requires_grad_(not frozen)
    segmenter = wrap_model(model, preprocessing=NATIVE)
    before = state(model)
    with torch.no_grad():  # a caller's mode is no obstacle, and stays
        result = explain(segmenter, picture(), Region("mask"), 1)
        assert not torch.is_grad_enabled()
    assert_untouched(model, before)
    assert all(isinstance(maps.seg_grad, np.ndarray) for maps in result.maps.values())


def test_nothing_of_the_network_changes_after_an_exception(monkeypatch):
    model = small_unet()
    segmenter = wrap_model(model, preprocessing=NATIVE)
    before = state(model)
    for region in (Region("component", point=(0, 0)), Region("pixel", point=(999, 0))):
        with pytest.raises(InputError):
            for class_index in (0, 1, 2):
                explain(segmenter, picture(), region, class_index)
    with pytest.raises(InputError):
        explain(segmenter, picture(), Region("image"), 1, layers=["encoder.bn1"])
    monkeypatch.setattr(torch.autograd, "grad", lambda *_a, **_k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explain(segmenter, picture(), Region("image"), 1)
    assert_untouched(model, before)


def test_frozen_and_trainable_networks_give_the_same_maps():
    first = explain(wrap_model(small_unet(), preprocessing=NATIVE), picture(), Region("image"), 1)
    trainable = small_unet().requires_grad_(True)
    second = explain(wrap_model(trainable, preprocessing=NATIVE), picture(), Region("image"), 1)
    for name in first.maps:
        np.testing.assert_allclose(first.maps[name].seg_grad, second.maps[name].seg_grad, rtol=1e-5, atol=1e-8)


def test_some_layers_give_the_same_maps_as_all():
    segmenter = small_segmenter(dtype=torch.float64)
    full = explain(segmenter, picture(), Region("image"), 1)
    for name in full.maps:
        alone = explain(segmenter, picture(), Region("image"), 1, layers=[name])
        assert list(alone.maps) == [name]
        np.testing.assert_allclose(alone.maps[name].seg_grad, full.maps[name].seg_grad, rtol=1e-9, atol=1e-12)


def test_the_same_call_gives_the_same_bits():
    segmenter = small_segmenter()
    first, second = (explain(segmenter, picture(), Region("mask"), 1) for _ in range(2))
    for name in first.maps:
        assert first.maps[name].seg_grad.tobytes() == second.maps[name].seg_grad.tobytes()
