"""Train the shipped language model again and compare it with the one in datasets/.

    python -m benchmarks.train_language_model            # train, compare, change nothing
    python -m benchmarks.train_language_model --write    # also replace the shipped file

It learns the Jargon File, as Debian's package jargon-text brings it (apt-get install jargon-text,
or --text FILE). Two trainings need not agree to the last bit; their perplexities on the held-out
text should lie within five per cent. Some minutes on a CPU. The card is
datasets/jargon_model.md.
"""

from __future__ import annotations

import argparse
import gzip
import unicodedata
from pathlib import Path

import numpy as np

from benchmarks.shipped import record_checksum
from trickster import data
from trickster.language_model import (
    SHIPPED,
    LanguageModel,
    Shape,
    Tokenizer,
    load_shipped,
    save,
    train,
)

DEBIAN_TEXT = Path("/usr/share/doc/jargon-text/jargon.txt.gz")
VOCABULARY, STEPS = 1_024, 2_500
HELD_OUT = 0.05  # of the text, at its end
SHIPPED_TOKENS = 8_192  # of the held-out text, in the model's file
KEEP_WITHIN = 0.05
QUOTES = str.maketrans("‘’“”–—·", "''\"\"--.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, default=DEBIAN_TEXT, help=f"default: {DEBIAN_TEXT}")
    parser.add_argument("--write", action="store_true", help="replace the shipped model")
    arguments = parser.parse_args()
    again = trained(read_text(arguments.text), progress="training")
    print(f"trained now: perplexity {again.perplexity():.2f} a token, held out")
    if arguments.write:
        write(again)
        return
    shipped = load_shipped().perplexity()
    apart = abs(again.perplexity() / shipped - 1)
    print(f"shipped:     perplexity {shipped:.2f}")
    if apart > KEEP_WITHIN:
        raise SystemExit(f"They differ by {apart:.1%}: more than {KEEP_WITHIN:.0%}.")
    print(f"They differ by {apart:.1%}: within {KEEP_WITHIN:.0%}.")


def read_text(path: Path) -> str:
    """The file's paragraphs in ASCII, one a line, without the table of contents."""
    if not path.is_file():
        raise SystemExit(f"{path} is not there: apt-get install jargon-text, or give --text.")
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    plain = unicodedata.normalize("NFKD", text.translate(QUOTES)).encode("ascii", "ignore")
    blocks = plain.decode("ascii").split("\n\n")
    paragraphs = (" ".join(block.split()) for block in blocks)
    whole = "\n".join(one for one in paragraphs if one)
    return whole[whole.rindex("Welcome to the Jargon File") :]


def trained(text: str, *, steps: int = STEPS, progress: str | None = None) -> LanguageModel:
    """The model of a text, with the beginning of the part that it has not learnt."""
    cut = int(len(text) * (1 - HELD_OUT))
    tokenizer = Tokenizer.of(text, VOCABULARY)
    learnt = np.array(tokenizer.encode(text[:cut]))
    network = train(learnt, Shape(VOCABULARY), steps=steps, progress=progress)
    held_out = np.array(tokenizer.encode(text[cut:])[:SHIPPED_TOKENS])
    return LanguageModel(network, tokenizer, held_out)


def write(model: LanguageModel) -> None:
    """Replace the shipped file and record its checksum."""
    path = data.datasets_dir() / SHIPPED
    save(model, path)
    record_checksum(path)


if __name__ == "__main__":
    main()
