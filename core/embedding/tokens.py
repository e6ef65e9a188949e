"""Counting and cutting text in an encoder's own tokens."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer, processors

from core.errors import InputError

CONFIG = "tokenizer_config.json"
_MEMO = 200_000  # lines whose counts are kept: record lines repeat a great deal between prediction times
_MEMO_LENGTH = 400  # characters


class TextTokenizer:
    """A model's ``tokenizer.json`` without the truncation and padding that such files often carry.

    Safe to call from several threads.

    Attributes:
        special_tokens: how many tokens are added to a text ([CLS], [SEP], end of text).
    """

    def __init__(self, folder: Path):
        path = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"the tokenizer {path} cannot be read", "install the weights again") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        _append_end(self._tokenizer, folder)
        self.special_tokens = len(self._tokenizer.encode("").ids)
        self._memo = lru_cache(maxsize=_MEMO)(self._count)

    def count(self, text: str) -> int:
        """Number of tokens of ``text``, special tokens left out."""
        return self._memo(text) if len(text) <= _MEMO_LENGTH else self._count(text)

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character range ``[start, end)`` of each token of ``text``, special tokens left out."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def ids(self, texts: Sequence[str], special: bool = True) -> list[list[int]]:
        """Token ids of each text; with ``special`` the model's own special tokens around them."""
        return [
            encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=special)
        ]

    def cut(self, text: str, tokens: int) -> str:
        """The longest start of ``text`` that has at most ``tokens`` tokens."""
        offsets = self.offsets(text)
        return text if len(offsets) <= tokens else text[: offsets[tokens - 1][1] if tokens > 0 else 0]


def _append_end(tokenizer: Tokenizer, folder: Path) -> None:
    """Let the tokenizer append the end-of-text token where its configuration wants that and its file does not.

    Some models leave it to code that comes with the weights (gte-Qwen2: ``add_eos_token``), which is never run here.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CONFIG} cannot be read", "install the weights again") from error
    end = config.get("eos_token") if isinstance(config, dict) and config.get("add_eos_token") is True else None
    name = end.get("content") if isinstance(end, dict) else end
    number = tokenizer.token_to_id(name) if isinstance(name, str) else None
    if number is None or tokenizer.encode("a").ids[-1:] == [number]:
        return
    template = processors.TemplateProcessing(single=f"$A {name}", special_tokens=[(name, number)])
    before = tokenizer.post_processor
    tokenizer.post_processor = processors.Sequence([before, template]) if before else template
