"""A small language model: its tokens, its transformer, and how it is trained, kept and asked.

The shipped one (:func:`load_shipped`) has learnt the Jargon File. The service around it is
``services.TokenAPI``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from trickster import data, models
from trickster.files import write_atomically
from trickster.services import log_softmax

SHIPPED = "jargon_model.safetensors"
PIECES = re.compile(r" ?[A-Za-z]+|[^A-Za-z]")  # words with the space before them, else characters


class Tokenizer:
    """Between text and tokens: frequent words are one token, others are spelt.

    ``pieces`` are the texts of the tokens; among them every character that may be spelt.
    """

    def __init__(self, pieces: list[str]):
        self.pieces = list(pieces)
        self._number = {piece: i for i, piece in enumerate(self.pieces)}
        if len(self._number) < len(self.pieces):
            raise ValueError("Two tokens have the same text.")

    def __len__(self) -> int:
        return len(self.pieces)

    @classmethod
    def of(cls, text: str, size: int) -> Tokenizer:
        """``size`` tokens for a text: all of its characters, and its most frequent words.

        Raises ValueError where the characters alone are more.
        """
        characters = sorted(set(text))
        if len(characters) > size:
            raise ValueError(f"The text has {len(characters)} characters, more than {size}.")
        words = Counter(piece for piece in PIECES.findall(text) if len(piece) > 1)
        ranked = sorted(words, key=lambda word: (-words[word], word))
        return cls(characters + ranked[: size - len(characters)])

    def encode(self, text: str) -> list[int]:
        """The tokens of a text. Raises ValueError for a character that is no token."""
        tokens: list[int] = []
        for piece in PIECES.findall(text):
            spelt = [piece] if piece in self._number else list(piece)
            unknown = [one for one in spelt if one not in self._number]
            if unknown:
                raise ValueError(f"There is no token for {unknown[0]!r}.")
            tokens += [self._number[one] for one in spelt]
        return tokens

    def decode(self, tokens: np.ndarray | list[int]) -> str:
        """The text of some tokens."""
        return "".join(self.pieces[token] for token in tokens)


@dataclass(frozen=True)
class Shape:
    """How large a transformer is."""

    vocabulary: int
    width: int = 64  # the hidden size
    context: int = 64  # tokens that it can see
    layers: int = 2
    heads: int = 4


class Transformer(nn.Module):
    """A decoder-only transformer with layer normalisation before each part and before the head.

    Neither the last normalisation nor the head has a bias, as is usual today. So the logits
    ``(n, t, V)`` of all prompts are linear in ``width - 1`` numbers: what is normalised has mean 0.
    (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.)
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, bias=False)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.05)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of each next token ``(n, t, V)`` for tokens ``(n, t)``."""
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def last_logits(self, tokens: np.ndarray) -> np.ndarray:
        """Logits of the token behind each row of tokens ``(n, t)``: float32 ``(n, V)``."""
        with torch.inference_mode():
            parts = torch.as_tensor(np.asarray(tokens, dtype=np.int64)).split(64)
            return torch.cat([self(part)[:, -1] for part in parts]).numpy()


class _Block(nn.Module):
    """Attention to what came before, then a layer for each token by itself."""

    def __init__(self, shape: Shape):
        super().__init__()
        width, self.heads = shape.width, shape.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, width = x.shape
        parts = self.mix(self.norm1(x)).view(n, t, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(n, t, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class LanguageModel:
    """A transformer and its tokens behind NumPy.

    ``held_out`` are tokens ``(m,)`` of text that it has not learnt, for measurements.
    """

    def __init__(self, network: Transformer, tokenizer: Tokenizer, held_out: np.ndarray):
        self.network, self.tokenizer = network.eval(), tokenizer
        self.held_out = np.asarray(held_out)

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are."""
        return len(self.tokenizer)

    @property
    def context(self) -> int:
        """How many tokens a prompt may have."""
        return self.network.shape.context

    def all_logits(self, prompts: np.ndarray) -> np.ndarray:
        """Logits of the token behind each place of prompts ``(n, t)``: float32 ``(n, t, V)``."""
        with torch.inference_mode():
            parts = torch.as_tensor(self._checked(prompts)).split(64)
            return torch.cat([self.network(part) for part in parts]).numpy()

    def logits(self, prompts: np.ndarray) -> np.ndarray:
        """Logits of the token behind each prompt of ``prompts (n, t)``: float32 ``(n, V)``."""
        return self.network.last_logits(self._checked(prompts))

    def _checked(self, prompts: np.ndarray) -> np.ndarray:
        tokens = np.asarray(prompts)
        if tokens.size and tokens.dtype.kind not in "iu":
            raise ValueError(f"Tokens are whole numbers; got an array of {tokens.dtype}.")
        tokens = tokens.astype(np.int64)
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= self.context:
            raise ValueError(
                f"Prompts are tokens of shape (n, t) with t from 1 to {self.context}; got "
                f"{tokens.shape}."
            )
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.vocabulary_size:
            raise ValueError(f"Tokens run from 0 to {self.vocabulary_size - 1}.")
        return tokens

    def random_prompts(self, n: int, *, length: int = 8, seed: int = 0) -> np.ndarray:
        """``n`` prompts of random tokens ``(n, length)``."""
        return np.random.default_rng(seed).integers(self.vocabulary_size, size=(n, length))

    def write(self, text: str, n: int, *, seed: int = 0) -> str:
        """``text`` and ``n`` more tokens, each drawn from what the model thinks comes next."""
        rng, tokens = np.random.default_rng(seed), self.tokenizer.encode(text)
        for _ in range(n):
            logits = self.logits(np.array([tokens[-self.context :]]))[0].astype(np.float64)
            tokens.append(int(rng.choice(len(logits), p=models.softmax(logits))))
        return self.tokenizer.decode(tokens)

    @cached_property
    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        windows = self.held_out[: len(self.held_out) // self.context * self.context]
        rows = windows.reshape(-1, self.context)
        half = self.context // 2  # what comes early has little to go by
        return self.all_logits(rows[:, :-1])[:, half:], rows[:, half + 1 :]

    def held_out_logits(self) -> tuple[np.ndarray, np.ndarray]:
        """Logits ``(m, V)`` at places of the held-out text, and the tokens that stand there.

        At least half of the model's context stands before each.
        """
        logits, tokens = self._read
        return logits.reshape(-1, logits.shape[-1]), tokens.reshape(-1)

    def perplexity(self) -> float:
        """Of the held-out text, a token."""
        logits, tokens = self.held_out_logits()
        told = log_softmax(logits.astype(np.float64))
        return float(np.exp(-told[np.arange(len(tokens)), tokens].mean()))


def train(
    tokens: np.ndarray,
    shape: Shape,
    *,
    steps: int = 2_500,
    batch: int = 32,
    lr: float = 4e-3,
    seed: int = 0,
    progress: str | None = None,
) -> Transformer:
    """A transformer that has learnt to continue ``tokens (m,)``.

    Cross-entropy, AdamW with a one-cycle schedule, windows of the context's length from random
    places. ``progress`` labels a progress bar. Raises ValueError for less than one window.
    """
    text = torch.as_tensor(np.asarray(tokens, dtype=np.int64))
    if len(text) <= shape.context:
        raise ValueError(f"A text of {len(text)} tokens holds no window of {shape.context + 1}.")
    with models.seeded(seed):
        network = Transformer(shape)
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    for _ in tqdm(range(steps), desc=progress, disable=progress is None):
        starts = rng.integers(len(text) - shape.context, size=batch)
        rows = torch.stack([text[start : start + shape.context + 1] for start in starts])
        logits = network(rows[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.eval()


# --- files ------------------------------------------------------------------------------------


def save(model: LanguageModel, path: str | Path) -> None:
    """Write weights, tokens and held-out text as one safetensors file: data only."""
    tensors = {k: v.detach().contiguous() for k, v in model.network.state_dict().items()}
    tensors["held_out"] = torch.as_tensor(model.held_out.astype(np.int16))
    metadata = {
        "shape": json.dumps(vars(model.network.shape), sort_keys=True),
        "pieces": json.dumps(model.tokenizer.pieces),
    }
    write_atomically(path, to_safetensors(tensors, metadata=metadata))


def load(path: str | Path) -> LanguageModel:
    """The model that :func:`save` wrote. Raises ValueError where the file is not one."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        held_out = tensors.pop("held_out").numpy().astype(np.int64)
        network = Transformer(Shape(**json.loads(metadata["shape"])))
        network.load_state_dict(tensors)
        tokenizer = Tokenizer(json.loads(metadata["pieces"]))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} holds no language model that this version can read ({error}). Restore it "
            "from the repository, or train it again."
        ) from error
    return LanguageModel(network, tokenizer, held_out)


def load_shipped() -> LanguageModel:
    """The course's own model, which has learnt the Jargon File; see its card in ``datasets/``."""
    data.embedded_bytes(SHIPPED)  # raises where the file is not the shipped one
    return load(data.datasets_dir() / SHIPPED)
