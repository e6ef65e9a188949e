import threading

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import expit
from torch import nn

from core.errors import InputError
from core.imaging.architectures import build_model
from core.imaging.baselines import BASELINES, NoisyLinearImputer, constant_baseline
from core.imaging.cams import explain
from core.imaging.faithfulness import Perturbation, deletion_insertion, pixel_orders, table
from core.imaging.folding import fold_batch_norms
from core.imaging.regions import Region
from core.jobs import JobCancelled
from tests.core.imaging.nets import enliven, picture, small_segmenter, small_unet

LAYER = "decoder.blocks.2"


@pytest.fixture(scope="module")
def case():
    segmenter, image = small_segmenter(), picture(50, 70)
    return segmenter, image, explain(segmenter, image, Region("box", box=(10, 10, 50, 40)), 1)


def test_curves_equal_the_naive_ones(case):
    segmenter, image, result = case
    steps = 4
    found = deletion_insertion(segmenter, image, result, LAYER, steps=steps, baseline="zero", seed=1)
    tensor, geometry = segmenter.prepare(image)
    orders = pixel_orders(result, LAYER, seed=1)
    (top, left), (height, width) = geometry.offset, geometry.content_size
    for order, ranked in orders.items():
        for kind in ("deletion", "insertion"):
            curve = found.curve(order, kind)
            for step in range(steps + 1):
                chosen = np.zeros(height * width, bool)
                chosen[ranked[: round(step / steps * height * width)]] = True
                gone = (chosen if kind == "deletion" else ~chosen).reshape(height, width)
                inner = tensor[0, :, top : top + height, left : left + width].numpy().copy()
                inner[:, gone] = 0
                around = [
                    (0, 0),
                    *((start, n - start - m) for start, n, m in zip((top, left), tensor.shape[2:], inner.shape[1:])),
                ]
                changed = torch.from_numpy(np.pad(inner, around, mode="reflect"))[None]
                with torch.no_grad():
                    logits = segmenter.model(changed)[0]
                inside = logits[:, torch.from_numpy(result.mask)]
                assert curve.logit[step] == pytest.approx(float(inside[1].mean()), rel=1e-3, abs=1e-3)
                expected = float(inside.softmax(0)[1].mean())
                assert curve.probability[step] == pytest.approx(expected, abs=1e-4)
            assert curve.area == pytest.approx(np.trapezoid(curve.probability, found.fractions))
            image_value, baseline_value = curve.logit[:: steps if kind == "deletion" else -steps]
            scaled = (np.array(curve.logit) - baseline_value) / (image_value - baseline_value)  # 1 and 0 at the ends
            assert curve.logit_area == pytest.approx((scaled[1:] + scaled[:-1]).sum() / 2 / steps)
    assert found.n_images == 4 * 2 * (steps - 1) + 2
    assert [row["order"] for row in table(found)][:2] == ["Seg-Grad CAM", "Seg-HiRes-Grad CAM"]


def test_ends_are_the_image_and_the_baseline(case):
    segmenter, image, result = case
    found = deletion_insertion(segmenter, image, result, LAYER, steps=2)
    for order in ("seg_grad", "seg_hires_grad", "random", "mask"):
        deletion, insertion = found.curve(order, "deletion"), found.curve(order, "insertion")
        assert deletion.logit[0] == pytest.approx(result.mean_logit, rel=1e-3)
        assert deletion.logit[0] == insertion.logit[-1] and deletion.logit[-1] == insertion.logit[0]


def test_orders_are_permutations_that_follow_their_map(case):
    _, _, result = case
    orders = pixel_orders(result, "decoder.blocks.4")
    for ranked in orders.values():
        assert np.array_equal(np.sort(ranked), np.arange(50 * 70))
    (top, left) = result.geometry.offset
    raw = result.maps["decoder.blocks.4"].seg_hires_grad[top : top + 50, left : left + 70].ravel()
    assert (np.diff(raw[orders["seg_hires_grad"]]) <= 1e-6).all()
    mask = result.mask[top : top + 50, left : left + 70].ravel()
    assert mask[orders["mask"][: mask.sum()]].all()
    inner, outer = np.argwhere(mask.reshape(50, 70)), np.argwhere(~mask.reshape(50, 70))
    apart = cdist(inner, outer)  # from the middle of M to its border, then away from it
    depth = dict(zip(np.flatnonzero(mask).tolist(), apart.min(1))) | dict(
        zip(np.flatnonzero(~mask).tolist(), -apart.min(0))
    )
    assert (np.diff([depth[pixel] for pixel in orders["mask"].tolist()]) <= 1e-9).all()


@pytest.mark.parametrize("baseline", list(BASELINES))
def test_every_baseline_leaves_the_kept_pixels_alone(case, baseline):
    segmenter, image, _ = case
    tensor, geometry = segmenter.prepare(image)
    perturb = Perturbation(tensor[0], geometry, baseline, 0)
    order = np.random.default_rng(0).permutation(50 * 70)
    changed = perturb(order, 1000, True)
    (top, left) = geometry.offset
    kept = np.ones(50 * 70, bool)
    kept[order[:1000]] = False
    inside = torch.from_numpy(kept.reshape(50, 70))
    before, after = (x[:, top : top + 50, left : left + 70] for x in (tensor[0], changed))
    assert torch.equal(before[:, inside], after[:, inside])
    assert torch.isfinite(after).all() and not torch.equal(before, after)
    assert torch.equal(changed[:, :top], changed[:, top + 1 : 2 * top + 1].flip(1)), "the padding mirrors what is left"
    assert torch.equal(perturb(order, 0, True), tensor[0])


def test_constant_baselines():
    image = torch.arange(12.0).reshape(1, 3, 4)
    assert constant_baseline(image, "zero").abs().sum() == 0
    assert torch.allclose(constant_baseline(image, "mean"), torch.full((1, 3, 4), 5.5))
    with pytest.raises(InputError, match="no baseline 'grey'"):
        constant_baseline(image, "grey")


def test_noisy_linear_imputation_solves_the_road_system():
    image = torch.from_numpy(picture(24, 20, 1)[None])
    deleted = np.random.default_rng(0).random((24, 20)) < 0.6
    filled = NoisyLinearImputer(image, noise=0)(deleted)[0]
    assert np.allclose(filled[~deleted], image[0].numpy()[~deleted])
    for y, x in np.argwhere(deleted):
        total = weight = 0.0
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                if (dy or dx) and 0 <= y + dy < 24 and 0 <= x + dx < 20:
                    w = 1 / 6 if dy == 0 or dx == 0 else 1 / 12
                    total, weight = total + w * filled[y + dy, x + dx], weight + w
        assert filled[y, x] == pytest.approx(total / weight, abs=2e-3)


def test_imputing_everything_or_nothing():
    image = torch.rand(2, 5, 6)
    imputer = NoisyLinearImputer(image, noise=0)
    assert np.allclose(imputer(np.zeros((5, 6), bool)), image)
    means = image.double().mean(dim=(1, 2)).numpy()
    assert np.allclose(imputer(np.ones((5, 6), bool)), means[:, None, None])


def test_progress_cancels(case):
    segmenter, image, result = case

    def stop(done, total, note=""):
        if done > 0:
            raise JobCancelled("stopped")

    with pytest.raises(JobCancelled):
        deletion_insertion(segmenter, image, result, LAYER, progress=stop)


def test_bad_settings(case):
    segmenter, image, result = case
    with pytest.raises(InputError, match="no maps of the layer"):
        deletion_insertion(segmenter, image, result, "nonsense")
    with pytest.raises(InputError, match="steps"):
        deletion_insertion(segmenter, image, result, LAYER, steps=1)
    with pytest.raises(InputError, match="no baseline"):
        deletion_insertion(segmenter, image, result, LAYER, baseline="grey")
    with pytest.raises(InputError, match="another image"):
        deletion_insertion(segmenter, picture(64, 64), result, LAYER)


@pytest.mark.parametrize("tile", [0, 96])
def test_a_network_in_use_is_waited_for(tile):
    segmenter, image = small_segmenter(tile=tile), picture(64, 160)
    result = explain(segmenter, image, Region("image"), 1)
    alone = deletion_insertion(segmenter, image, result, LAYER, steps=2)
    ran, found = [], []
    segmenter.network.register_forward_pre_hook(lambda *_: ran.append(threading.get_ident()))
    other = threading.Thread(target=lambda: found.append(deletion_insertion(segmenter, image, result, LAYER, steps=2)))
    with segmenter.lock:  # as another session's explanation holds it, with its hooks on the network
        other.start()
        other.join(0.5)
        assert not ran
    other.join()
    assert ran and found[0].curves == alone.curves


def test_one_channel_and_tiled_images():
    segmenter = small_segmenter(classes=1)
    logits = segmenter.logits(segmenter.prepare(picture(64, 64))[0]).numpy().astype(np.float64)
    for class_index, sign in ((0, -1), (1, 1)):
        result = explain(segmenter, picture(64, 64), Region("image"), class_index)
        curve = deletion_insertion(segmenter, picture(64, 64), result, LAYER, steps=2).curve("random", "deletion")
        assert curve.logit[0] == pytest.approx(sign * logits.mean(), rel=1e-3)
        assert curve.probability[0] == pytest.approx(expit(sign * logits).mean(), abs=1e-4)
    tiled = small_segmenter(tile=96)
    image = picture(64, 160)
    result = explain(tiled, image, Region("image"), 1)
    found = deletion_insertion(tiled, image, result, LAYER, steps=2)
    assert found.curve("mask", "deletion").logit[0] == pytest.approx(result.mean_logit, rel=1e-3)


@pytest.mark.parametrize("name", ["Unet", "UnetPlusPlus", "DeepLabV3Plus", "Linknet"])
@pytest.mark.parametrize("encoder", ["resnet18", "tu-regnetx_002", "mobilenet_v2"])
def test_folded_networks_give_the_same_logits_with_fewer_layers(name, encoder):
    config = {"_model_class": name, "encoder_name": encoder, "classes": 2, "in_channels": 1}
    model = enliven(build_model(config))
    folded = fold_batch_norms(model, 1)
    x = torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        expected = model(x)
        scale = expected.abs().max()
        assert (folded(x) - expected).abs().max() <= 1e-4 * scale
    left = sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert left < 0.2 * sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_folding_leaves_the_network_alone():
    model = small_unet()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fold_batch_norms(model, 3)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
