import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from core.errors import InputError
from core.imaging.architectures import (
    ARCHITECTURES,
    build_model,
    explainable_layers,
    first_output,
    load_parameters,
    strip_activation,
    unwrap_checkpoint,
)
from tests.core.imaging.nets import small_unet


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_architecture_offers_encoder_and_decoder_layers(name):
    model = build_model({"_model_class": name, "encoder_name": "resnet18", "classes": 2, "in_channels": 1})
    plan = explainable_layers(model, 1)
    assert next(layer for layer in plan.layers if layer.startswith("encoder.layer")) == "encoder.layer1"
    assert any(layer.startswith("decoder.") for layer in plan.layers)
    assert not model.training and not any(module._forward_hooks for module in model.modules())
    for layer, (channels, stride) in plan.layers.items():
        assert channels > 0 and stride in (1, 2, 4, 8, 16, 32), layer


def test_layers_of_a_unet_are_block_outputs_in_order():
    plan = explainable_layers(small_unet(), 3)
    encoder = ["encoder.relu", *(f"encoder.layer{index}" for index in range(1, 5))]
    assert list(plan.layers) == encoder + [f"decoder.blocks.{index}" for index in range(5)]


@pytest.mark.parametrize("name", [None, "os.system", "DPT2", "__class__", "datasets", 3])
def test_other_classes_are_refused(name):
    with pytest.raises(InputError, match="use one of Unet"):
        build_model({"_model_class": name})


@pytest.mark.parametrize(
    "config",
    [{"encoder_name": "no-such"}, {"classes": 0}, {"classes": "two"}, {"encoder_depth": 9}, {"in_channels": True}],
)  # fmt: skip
def test_configs_that_describe_no_network(config):
    with pytest.raises(InputError):
        build_model({"_model_class": "Unet", "encoder_name": "resnet18", **config})


def test_pretrained_weights_are_never_fetched(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: pytest.fail("a download was started"))
    build_model({"_model_class": "Unet", "encoder_name": "resnet18", "encoder_weights": "imagenet"})


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "_orig_mod.", "module._orig_mod.", "model.module."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
def test_checkpoint_prefixes_and_wrappers(prefix, wrapper):
    state = {prefix + key: value for key, value in small_unet().state_dict().items()}
    model = small_unet(seed=1)
    load_parameters(model, unwrap_checkpoint({wrapper: state, "epoch": 3} if wrapper else state))
    expected = small_unet().state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


def test_lightning_checkpoints_with_other_parts():
    state = {"model." + key: value for key, value in small_unet().state_dict().items()}
    model = small_unet(seed=1)
    load_parameters(model, unwrap_checkpoint({"state_dict": {**state, "loss.weight": torch.ones(3)}}))
    assert torch.equal(model.segmentation_head[0].weight, small_unet().segmentation_head[0].weight)


def test_weights_that_do_not_fit_are_reported():
    with pytest.raises(InputError, match=r"other shape: segmentation_head\.0\.bias \(5,\) instead of \(3,\)"):
        load_parameters(small_unet(3), small_unet(5).state_dict())
    state = small_unet().state_dict()
    del state["segmentation_head.0.bias"]
    state["extra"] = torch.ones(1)
    with pytest.raises(InputError, match=r"missing: segmentation_head\.0\.bias; unknown: extra"):
        load_parameters(small_unet(), state)
    state = small_unet().state_dict()
    state["segmentation_head.0.bias"] = torch.tensor([0.0, float("nan"), 0.0])
    with pytest.raises(InputError, match="not finite"):
        load_parameters(small_unet(), state)


@pytest.mark.parametrize("checkpoint", [{}, [], None, {"epoch": 3}, {"state_dict": {"a": "b"}}])
def test_checkpoints_without_parameters(checkpoint):
    with pytest.raises(InputError, match="no parameters"):
        unwrap_checkpoint(checkpoint)


def test_strip_activation():
    model = smp.Unet("resnet18", encoder_weights=None, classes=2, activation="softmax2d")
    assert strip_activation(model) and not strip_activation(model)
    plain = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Softmax(dim=1))
    assert strip_activation(plain)


def test_first_output():
    tensor = torch.zeros(1, 2, 4, 4)
    for output in (tensor, (tensor, 1), [None, tensor], {"out": tensor, "aux": 1}):
        assert first_output(output) is tensor
    with pytest.raises(InputError, match="no map"):
        first_output(torch.zeros(1, 2))
