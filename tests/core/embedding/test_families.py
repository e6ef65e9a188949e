"""Each encoder family against a plain one-text-at-a-time reference and, where it can, sentence-transformers."""

import dataclasses
import hashlib
import json
import shutil
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.embedding import encoders as encoders_module
from core.embedding import torch_backend
from core.embedding import weights as weights_module
from core.embedding.encoders import load_encoder
from core.embedding.torch_backend import TorchBackend, attention_kernels, load_model
from core.errors import InputError, MissingError
from tests.core.embedding.tiny_models import FAMILIES, WIDTH, byte_tokenizer, tiny_spec

RECORDS = [
    "# Record\n\n- Pneumonia\n- Sodium: 128 (low)",
    "# Record\n\n" + "\n".join(f"- finding {n} of {n * 37 % 11}" for n in range(12)),
    "a",
    "# Record\n\n- Fieber 39 °C, Ωμέγα",
    "# Record\n\n- Pneumonia\n- Sodium: 131 (low)",
] + [f"- visit {n}\n" * (n + 1) for n in range(0, 9, 3)]
INSTRUCTION = "Given a record, will the patient be readmitted"


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a * b, axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def reference(family: str, folder, record: str, instruction: str, adapters=()) -> np.ndarray:
    """One text, no padding, eager attention, float64; pooling and template spelled out per family."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64)
    for adapter in adapters:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model = model.double().eval()
    start, end = 256, 257
    byte = [byte_tokenizer(family).token_to_id(c) for c in sorted(byte_alphabet())]
    assert byte == list(range(256))
    encode = lambda text: byte_tokenizer(family).encode(text, add_special_tokens=False).ids
    untruncated = lambda text: [i for part in (text[k : k + 1] for k in range(len(text))) for i in encode(part)]
    if family in ("qwen3", "qwen2"):
        ids = [*untruncated(f"Instruct: {instruction}\nQuery:\n{record}"), end]
    elif family == "llama":
        ids = [start, *untruncated(f"{instruction}: {record}")]
    elif family == "modernbert":
        ids = [start, *untruncated(f"{instruction}\n\n{record}"), end]
    else:
        ids = [start, *untruncated(record), end]
    tokens = torch.tensor([ids])
    if family in ("qwen2", "llama"):  # every token sees every other: a mask of zeros is added to the scores
        mask = torch.zeros(1, 1, len(ids), len(ids), dtype=torch.float64)
    elif family == "qwen3":
        mask = torch.full((1, 1, len(ids), len(ids)), -1e30, dtype=torch.float64).triu(1)
    else:
        mask = torch.ones_like(tokens)
    with torch.no_grad():
        hidden = model(input_ids=tokens, attention_mask=mask).last_hidden_state[0]
    if family in ("qwen3", "qwen2"):
        vector = hidden[-1]
    elif family == "llama":
        vector = hidden[-len(untruncated(record)) :].mean(dim=0)
    else:
        vector = hidden.mean(dim=0)
    return (vector / vector.norm()).numpy()


def byte_alphabet():
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel.alphabet()


def load(family: str, folder, **changes):
    return load_encoder(spec=tiny_spec(family, folder, **changes), device="cpu", backend="torch", threads=1)


def whole(family: str) -> dict:
    """BERT reads a record as one piece here; its chunks are tested with minilm."""
    return {"chunking": "none", "max_tokens": 512} if family == "bert" else {}


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_plain_reference(family, tiny_folders):
    encoder = load(family, tiny_folders[family], **whole(family))
    ours = encoder.embed(RECORDS, INSTRUCTION)
    assert ours.dtype == np.float32 and ours.shape == (len(RECORDS), WIDTH)
    expected = np.stack([reference(family, tiny_folders[family], record, INSTRUCTION) for record in RECORDS])
    assert cosine(ours, expected).min() > 0.99999
    spread = expected @ expected.T
    assert spread[~np.eye(len(spread), dtype=bool)].min() < 0.99  # the comparison can fail


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_and_order_do_not_matter(family, tiny_folders):
    encoder = load(family, tiny_folders[family], **whole(family))
    alone = np.concatenate([encoder.embed([record], INSTRUCTION) for record in RECORDS])
    for budget in (300, 10_000):
        encoder.backend.budget = budget
        assert cosine(encoder.embed(RECORDS[::-1], INSTRUCTION)[::-1], alone).min() > 0.99999
        same = encoder.embed([RECORDS[1]] * 3, INSTRUCTION)  # equal lengths: no padding, no mask
        assert cosine(same, alone[1]).min() > 0.99999


@pytest.mark.parametrize("family", FAMILIES)
def test_without_an_instruction_the_record_stands_alone(family, tiny_folders):
    """The paper's empty instruction: no template around nothing."""
    encoder = load(family, tiny_folders[family], **whole(family))
    alone = load(family, tiny_folders[family], template="{record}", **whole(family))
    for empty in (None, "", "  "):
        np.testing.assert_allclose(encoder.embed(RECORDS[:3], empty), alone.embed(RECORDS[:3]), atol=1e-6)


def test_an_instruction_ends_in_one_colon_for_llm2vec(tiny_folders):
    encoder = load("llama", tiny_folders["llama"])
    assert [encoder.pieces("r", words)[0].prefix for words in ("ask", "ask.", "ask:")] == ["ask: "] * 3


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_gives_no_nan(family, tiny_folders, monkeypatch):
    encoder = load(family, tiny_folders[family], **whole(family))
    exact = encoder.embed(RECORDS, INSTRUCTION)
    encoder.backend.model = encoder.backend.model.to(torch.bfloat16)
    encoder.backend._forward = encoder.backend.model
    rough = encoder.embed(RECORDS, INSTRUCTION)
    assert np.isfinite(rough).all()
    assert np.median(cosine(rough, exact)) > 0.98


@pytest.mark.parametrize("family", ["qwen3", "modernbert", "bert"])
def test_it_is_sentence_transformers(family, tiny_folders):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    encoder = load(family, tiny_folders[family], **whole(family))
    transformer = Transformer(str(tiny_folders[family]), max_seq_length=4096)
    pooling = Pooling(WIDTH, "lasttoken" if family == "qwen3" else "mean")
    peer = SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")
    peer.tokenizer.padding_side = "left" if family == "qwen3" else "right"
    before, after = encoder._around(INSTRUCTION)
    theirs = peer.encode([before + record + after for record in RECORDS], batch_size=4)
    assert cosine(encoder.embed(RECORDS, INSTRUCTION), theirs).min() > 0.9999


def test_causal_and_bidirectional_attention_differ(tiny_folders):
    """The stock Qwen2 class without the full mask is the silent failure that users report."""
    spec = tiny_spec("qwen2", tiny_folders["qwen2"])
    causal = load_encoder(spec=dataclasses.replace(spec, attention="causal"), device="cpu")
    full = load_encoder(spec=spec, device="cpu")
    assert cosine(causal.embed(RECORDS, INSTRUCTION), full.embed(RECORDS, INSTRUCTION)).min() < 0.97


def test_the_instruction_changes_the_vector_but_is_not_in_llm2vecs_mean(tiny_folders):
    encoder = load("llama", tiny_folders["llama"])
    one, other = encoder.embed(RECORDS[:1], "first"), encoder.embed(RECORDS[:1], "another question")
    assert cosine(one, other)[0] < 0.99999
    pieces = encoder.pieces(RECORDS[0], "another question")
    sequences, prefixes = encoder._sequences(pieces)
    assert len(sequences[0]) - prefixes[0] == len(RECORDS[0].encode())
    none = encoder.embed(RECORDS[:1])
    expected = reference_without_instruction(tiny_folders["llama"], RECORDS[0])
    assert cosine(none[0], expected) > 0.99999


def reference_without_instruction(folder, record):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    ids = [256] + [
        i for letter in record for i in byte_tokenizer("llama").encode(letter, add_special_tokens=False).ids
    ]
    mask = torch.zeros(1, 1, len(ids), len(ids), dtype=torch.float64)
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), attention_mask=mask).last_hidden_state[0, 1:].mean(dim=0).numpy()


@pytest.fixture
def adapters(tiny_folders, tmp_path):
    """Two LoRA adapters with random weights, as the mntp and the supervised one."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        config = LoraConfig(
            r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "up_proj"], init_lora_weights=False
        )
        get_peft_model(AutoModel.from_pretrained(tiny_folders["llama"]), config).save_pretrained(tmp_path / f"a{seed}")
        paths.append(tmp_path / f"a{seed}")
    return paths


def test_llm2vec_merges_both_adapters_in_order(tiny_folders, adapters):
    weights = weights_module.find_weights(tiny_spec("llama", tiny_folders["llama"]))
    spec = tiny_spec("llama", tiny_folders["llama"])
    both = TorchBackend(spec, load_model(spec, dataclasses.replace(weights, adapters=tuple(adapters)), "cpu"))
    encoder = load("llama", tiny_folders["llama"])
    plain = encoder.embed(RECORDS[:4], INSTRUCTION)
    encoder.backend = both
    merged = encoder.embed(RECORDS[:4], INSTRUCTION)
    expected = [reference("llama", tiny_folders["llama"], record, INSTRUCTION, adapters) for record in RECORDS[:4]]
    assert cosine(merged, np.array(expected)).min() > 0.9999
    assert cosine(merged, plain).max() < 0.999


def test_adapters_are_part_of_the_fingerprint_and_found_in_the_weights_folder(
    tiny_folders, adapters, tmp_path, monkeypatch
):
    own = tmp_path / "weights"
    (own / "llm2vec-llama-3.1-8b").mkdir(parents=True)
    for path, name in zip(adapters, ("first", "second")):
        path.rename(own / "llm2vec-llama-3.1-8b" / name)
    settings = weights_module.get_settings().model_copy(update={"weights": own})
    monkeypatch.setattr(weights_module, "get_settings", lambda: settings)
    spec = tiny_spec("llama", tiny_folders["llama"], adapters=("team/first", "team/second"))
    found = weights_module.find_weights(spec)
    assert [path.name for path in found.adapters] == ["first", "second"]
    alone = weights_module.find_weights(tiny_spec("llama", tiny_folders["llama"]))
    assert found.sha256 != alone.sha256 and found.config_sha256 != alone.config_sha256
    card = found.adapters[1] / "adapter_config.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"lora_alpha": 32}))
    scaled = weights_module.find_weights(spec)
    assert scaled.sha256 == found.sha256 and scaled.config_sha256 != found.config_sha256
    weights_file = tiny_folders["llama"] / "model.safetensors"
    assert alone.sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest()


def test_truncation_keeps_instruction_and_end_of_text(tiny_folders):
    encoder = load("qwen3", tiny_folders["qwen3"], max_tokens=100)
    (piece,) = encoder.pieces("x" * 500, INSTRUCTION)
    (sequence,), _ = encoder._sequences([piece])
    assert len(sequence) == 100 and sequence[-1] == 257
    assert piece.prefix + piece.text == f"Instruct: {INSTRUCTION}\nQuery:\n" + "x" * (99 - len(piece.prefix))
    with pytest.raises(InputError, match="no room for the record"):
        encoder.pieces("text", "long " * 100)


@pytest.mark.parametrize("tokens", [64, 128])
def test_the_chunk_ablation_averages_windows_with_the_instruction_in_the_first(tiny_folders, tokens):
    spec = tiny_spec("qwen3", tiny_folders["qwen3"]).chunked(tokens)
    encoder = load_encoder(spec=spec, device="cpu")
    record = "".join(chr(97 + n % 26) for n in range(300))
    pieces = encoder.pieces(record, "ask")
    assert "".join(piece.text for piece in pieces) == record
    assert [bool(piece.prefix) for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    assert max(encoder.model_tokens(piece) for piece in pieces) <= tokens
    single = load("qwen3", tiny_folders["qwen3"], template="{record}")
    parts = np.concatenate([single.embed([piece.prefix + piece.text]) for piece in pieces])
    assert encoder.identity["chunking"] == "window" and encoder.identity != single.identity
    raw = single.embed_pieces(
        [dataclasses.replace(piece, prefix="", text=piece.prefix + piece.text) for piece in pieces]
    )
    assert cosine(encoder.embed([record], "ask")[0], raw.mean(axis=0)) > 0.99999
    assert parts.shape == raw.shape


def test_a_batch_that_does_not_fit_is_halved_until_it_does(tiny_folders, monkeypatch):
    encoder = load("qwen3", tiny_folders["qwen3"])
    encoder.backend.budget = 10_000
    expected = encoder.embed(RECORDS, INSTRUCTION)
    rows = []
    compute = TorchBackend._pooled

    def small_memory(self, sequences, prefixes):
        if len(sequences) > 3:
            raise torch.OutOfMemoryError("out of memory")
        rows.append(len(sequences))
        return compute(self, sequences, prefixes)

    monkeypatch.setattr(TorchBackend, "_pooled", small_memory)
    np.testing.assert_allclose(encoder.embed(RECORDS, INSTRUCTION), expected, atol=1e-5)
    assert sum(rows) == len(RECORDS) and max(rows) <= 3
    assert encoder.backend.budget < 10_000

    def no_memory(self, sequences, prefixes):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(TorchBackend, "_pooled", no_memory)
    with pytest.raises(MissingError, match="does not fit into the memory of cpu"):
        encoder.embed(RECORDS, INSTRUCTION)


def test_weights_that_lack_tensors_are_an_error(tiny_folders, tmp_path):
    folder = shutil.copytree(tiny_folders["qwen3"], tmp_path / "qwen3")
    tensors = load_file(folder / "model.safetensors")
    del tensors["layers.1.self_attn.q_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors, the first layers\.1\.self_attn\.q_proj\.weight"):
        load("qwen3", folder)


def test_a_device_that_is_not_there_and_an_unsuitable_backend_are_errors(tiny_folders):
    spec = tiny_spec("qwen3", tiny_folders["qwen3"])
    with pytest.raises(InputError, match="device 'cuda:7' cannot be used"):
        load_encoder(spec=spec, device="cuda:7")
    with pytest.raises(InputError, match="does not run on ONNX Runtime"):
        load_encoder(spec=spec, device="cpu", backend="onnxruntime")
    with pytest.raises(InputError, match="no backend 'tensorflow'"):
        load_encoder(spec=spec, device="cpu", backend="tensorflow")


def test_a_config_of_fewer_layers_than_the_weights_have_is_an_error(tiny_folders, tmp_path):
    folder = shutil.copytree(tiny_folders["qwen3"], tmp_path / "qwen3")
    config = json.loads((folder / "config.json").read_text())
    config |= {"num_hidden_layers": 2, "layer_types": config["layer_types"][:2]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"have \d+ tensors that its config\.json knows nothing of.*layers\.2\."):
        load("qwen3", folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_another_shape_are_one_sentence(family, tiny_folders, tmp_path):
    folder = shutil.copytree(tiny_folders[family], tmp_path / family)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 96}))
    with pytest.raises(InputError, match=r"weights of .* do not load") as caught:
        load(family, folder, **whole(family))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["names", "modules", "shape"])
def test_an_adapter_of_another_model_is_an_error_and_not_nothing(tiny_folders, adapters, change):
    """PEFT only warns of tensors that it does not find, and merges zeros."""
    if change == "modules":
        config = json.loads((adapters[0] / "adapter_config.json").read_text())
        (adapters[0] / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["query_key_value"]}))
    else:
        tensors = load_file(adapters[0] / "adapter_model.safetensors")
        if change == "names":
            tensors = {name.replace("layers.", "blocks."): tensor for name, tensor in tensors.items()}
        else:
            tensors = {name: torch.cat([tensor, tensor]) for name, tensor in tensors.items()}
        save_file(tensors, adapters[0] / "adapter_model.safetensors", metadata={"format": "pt"})
    spec = tiny_spec("llama", tiny_folders["llama"])
    weights = dataclasses.replace(weights_module.find_weights(spec), adapters=(adapters[0],))
    with pytest.raises(
        InputError, match=r"the adapter a1 does not fit the weights of llm2vec-llama-3\.1-8b"
    ) as caught:
        load_model(spec, weights, "cpu")
    assert "\n" not in str(caught.value)


def test_code_that_comes_with_weights_is_never_run(tiny_folders, tmp_path):
    """The config of gte-Qwen2 names classes of its own in auto_map; the stock class is loaded."""
    folder = shutil.copytree(tiny_folders["qwen2"], tmp_path / "qwen2")
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": names}))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('ran')\n")
    same = load("qwen2", folder).embed(RECORDS[:2], INSTRUCTION)
    np.testing.assert_allclose(same, load("qwen2", tiny_folders["qwen2"]).embed(RECORDS[:2], INSTRUCTION), atol=1e-6)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("end", ["<end>", {"content": "<end>"}])
def test_the_end_token_that_only_the_tokenizers_configuration_names_is_appended(tiny_folders, tmp_path, end):
    """gte-Qwen2 leaves it to code of its own (add_eos_token); its vector is read there."""
    folder = shutil.copytree(tiny_folders["qwen2"], tmp_path / "qwen2")
    plain = json.loads((folder / "tokenizer.json").read_text())
    plain["post_processor"] = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": True,
    }
    (folder / "tokenizer.json").write_text(json.dumps(plain))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"add_eos_token": False}))
    with pytest.raises(InputError, match="appends no end-of-text token"):
        load("qwen2", folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"add_eos_token": True, "eos_token": end}))
    ours = load("qwen2", folder).embed(RECORDS, INSTRUCTION)
    np.testing.assert_allclose(ours, load("qwen2", tiny_folders["qwen2"]).embed(RECORDS, INSTRUCTION), atol=1e-6)
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer_config\.json cannot be read"):
        load("qwen2", folder)


def test_flash_attention_is_used_on_a_gpu_in_half_precision_where_it_is_installed(monkeypatch):
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    for installed in (False, True):
        monkeypatch.setattr(torch_backend, "is_flash_attn_2_available", lambda value=installed: value)
        found = [attention_kernels(gpu, torch.bfloat16), attention_kernels(gpu, torch.float32)]
        found.append(attention_kernels(cpu, torch.float32))
        assert found == [("flash_attention_2" if installed else "sdpa"), "sdpa", "sdpa"]


def test_a_gpu_gets_its_input_pinned_and_does_not_wait_for_it(tiny_folders, monkeypatch):
    """Without a GPU: the calls are looked at, not made."""
    backend = load("qwen3", tiny_folders["qwen3"]).backend
    monkeypatch.setattr(backend, "_device", torch.device("cuda"))
    seen = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: seen.append("pinned") or self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *to, **how: seen.append((to, how)) or self)
    backend._send(np.zeros(3, dtype=np.int64))
    assert seen == ["pinned", ((torch.device("cuda"),), {"non_blocking": True})]


def test_the_next_texts_are_tokenised_while_a_batch_computes(tiny_folders, monkeypatch):
    monkeypatch.setattr(encoders_module, "_WINDOW", 1)  # characters: every text is a window
    encoder = load("qwen3", tiny_folders["qwen3"])
    started, tokenise, compute = threading.Event(), encoder._sequences, encoder.backend.pooled
    windows = []

    def counted(pieces):
        windows.append(len(pieces))
        if len(windows) == 2:
            started.set()
        return tokenise(pieces)

    def waiting(sequences, prefixes):
        assert started.wait(20), "the second window was not tokenised while the first one computed"
        return compute(sequences, prefixes)

    monkeypatch.setattr(encoder, "_sequences", counted)
    monkeypatch.setattr(encoder.backend, "pooled", waiting)
    encoder.embed(RECORDS, INSTRUCTION)
    assert len(windows) == len(RECORDS)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("family", ["qwen3", "modernbert"])
def test_the_compiled_model_gives_the_same_vectors(family, tiny_folders):
    if not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler on the CPU, and there is no g++ here")
    spec = tiny_spec(family, tiny_folders[family])
    compiled = load_encoder(spec=spec, device="cpu", threads=1, compiled=True)
    eager = load_encoder(spec=spec, device="cpu", threads=1)
    assert compiled.backend._forward is not compiled.backend.model
    assert cosine(compiled.embed(RECORDS, INSTRUCTION), eager.embed(RECORDS, INSTRUCTION)).min() > 0.9999
