import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from core.embedding import onnx_backend
from core.embedding.encoders import load_encoder
from core.embedding.onnx_backend import exported
from core.embedding.weights import find_weights
from core.errors import InputError
from tests.core.embedding.tiny_models import tiny_spec

TEXTS = ["- Pneumonia", "# Record\n\n- Sodium: 128 (low)", "x" * 300]


def test_the_exported_graph_is_kept_and_made_again_when_it_is_damaged(tiny_folders, tmp_path, monkeypatch):
    settings = onnx_backend.get_settings().model_copy(update={"home": tmp_path})
    monkeypatch.setattr(onnx_backend, "get_settings", lambda: settings)
    spec = tiny_spec("bert", tiny_folders["bert"])
    first = load_encoder(spec=spec, device="cpu").embed(TEXTS)
    plain = load_encoder(spec=spec, device="cpu", backend="torch").embed(TEXTS)
    assert np.sum(first * plain, axis=1).min() > 0.99999
    graph = exported(spec, find_weights(spec))
    written = graph.stat().st_mtime_ns
    load_encoder(spec=spec, device="cpu")
    assert graph.stat().st_mtime_ns == written
    graph.write_bytes(graph.read_bytes()[:2000])
    np.testing.assert_allclose(load_encoder(spec=spec, device="cpu").embed(TEXTS), first, atol=1e-6)
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == [graph.name]


def test_another_configuration_of_the_same_weights_has_a_graph_of_its_own(tiny_folders, tmp_path, monkeypatch):
    settings = onnx_backend.get_settings().model_copy(update={"home": tmp_path / "home"})
    monkeypatch.setattr(onnx_backend, "get_settings", lambda: settings)
    folder = shutil.copytree(tiny_folders["bert"], tmp_path / "bert")
    spec = tiny_spec("bert", folder)
    first = load_encoder(spec=spec, device="cpu").embed(TEXTS)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    onnx, plain = (
        load_encoder(spec=spec, device="cpu", backend=name).embed(TEXTS) for name in ("onnxruntime", "torch")
    )
    assert np.sum(onnx * plain, axis=1).min() > 0.99999 > np.sum(onnx * first, axis=1).max()
    assert len(list((tmp_path / "home" / "onnx").iterdir())) == 2


def test_weights_that_lack_tensors_are_an_error_here_too(tiny_folders, tmp_path, monkeypatch):
    """Exported as they are, the missing tensors would be random numbers in a graph that is kept."""
    settings = onnx_backend.get_settings().model_copy(update={"home": tmp_path / "home"})
    monkeypatch.setattr(onnx_backend, "get_settings", lambda: settings)
    folder = shutil.copytree(tiny_folders["bert"], tmp_path / "bert")
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors, the first encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(spec=tiny_spec("bert", folder), device="cpu")
    assert not list((tmp_path / "home").rglob("*.onnx"))


def test_another_pooling_of_a_bert_model_runs_on_torch(tiny_folders):
    """The graph has a masked mean and would give that without a word."""
    spec = tiny_spec("bert", tiny_folders["bert"], pooling="last", chunking="none", max_tokens=512)
    encoder = load_encoder(spec=spec, device="cpu")
    assert encoder.backend.name == "torch"
    with pytest.raises(InputError, match="does not run on ONNX Runtime"):
        load_encoder(spec=spec, device="cpu", backend="onnxruntime")


@pytest.mark.parametrize(("policy", "spins"), [("PASSIVE", "0"), ("passive", "0"), ("ACTIVE", None), (None, None)])
def test_threads_wait_as_those_of_openmp_do(policy, spins, tiny_folders, monkeypatch):
    if policy is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    seen, key = {}, "session.intra_op.allow_spinning"

    def opened(path, options):
        try:
            seen[key] = options.get_session_config_entry(key)
        except RuntimeError:  # not set
            seen[key] = None
        return original(path, options)

    original = onnx_backend._open
    monkeypatch.setattr(onnx_backend, "_open", opened)
    load_encoder(spec=tiny_spec("bert", tiny_folders["bert"]), device="cpu")
    assert seen == {key: spins}
