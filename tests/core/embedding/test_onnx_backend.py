import numpy as np

from core.embedding import onnx_backend
from core.embedding.encoders import load_encoder
from core.embedding.onnx_backend import exported
from core.embedding.weights import find_weights
from tests.core.embedding.tiny_models import tiny_spec

TEXTS = ["- Pneumonia", "# Record\n\n- Sodium: 128 (low)", "x" * 300]


def test_the_exported_graph_is_kept_and_made_again_when_it_is_damaged(tiny_folders, tmp_path, monkeypatch):
    settings = onnx_backend.get_settings().model_copy(update={"home": tmp_path})
    monkeypatch.setattr(onnx_backend, "get_settings", lambda: settings)
    spec = tiny_spec("bert", tiny_folders["bert"])
    first = load_encoder(spec=spec, device="cpu").embed(TEXTS)
    plain = load_encoder(spec=spec, device="cpu", backend="torch").embed(TEXTS)
    assert np.sum(first * plain, axis=1).min() > 0.99999
    graph = exported(find_weights(spec))
    written = graph.stat().st_mtime_ns
    load_encoder(spec=spec, device="cpu")
    assert graph.stat().st_mtime_ns == written
    graph.write_bytes(graph.read_bytes()[:2000])
    np.testing.assert_allclose(load_encoder(spec=spec, device="cpu").embed(TEXTS), first, atol=1e-6)
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == [graph.name]
