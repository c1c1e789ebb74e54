"""What a thief who knows reverse sigmoid makes of its answers: probabilities they may come from."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

EXACT = 2e-3  # bent probabilities that lie so near to an answer could be where it comes from
WIDTHS = (0.6, 1.0, 1.5)  # how sure the starts of the search are, beside the guess


def unbent(
    answers: np.ndarray,
    guess: np.ndarray,
    beta: float = 1.0,
    gamma: float = 0.1,
    *,
    steps: int = 100,
) -> np.ndarray:
    """Probabilities that :func:`defenses.reverse_sigmoid` bends to these answers.

    The formula has no inverse: an answer has many origins. So the search starts at
    ``guess (n, k)``, what a first clone says of the same pictures, at the same made surer and less
    sure, and with more for the class that the answer names. Of the origins that it finds, this
    clone's likeliest is taken; where it finds none, whatever comes nearest. Asks nothing.

    answers : bent posteriors ``(n, k)``. Returns posteriors ``(n, k)`` in float32.
    """
    if answers.shape != guess.shape or answers.ndim != 2:
        raise ValueError(f"Answers and guess are (n, k) both: {answers.shape}, {guess.shape}.")

    def bend(y: torch.Tensor) -> torch.Tensor:
        y = y.clamp(1e-9, 1 - 1e-9)
        bent = (y - beta * (torch.sigmoid(gamma * torch.logit(y)) - 0.5)).clamp_min(1e-9)
        return bent / bent.sum(dim=-1, keepdim=True)

    told, likely = (torch.from_numpy(np.asarray(one, dtype=float)) for one in (answers, guess))
    log = likely.clamp_min(1e-9).log()
    named = log + 3 * F.one_hot(told.argmax(dim=1), told.shape[1])
    logits = torch.stack([*(width * log for width in WIDTHS), named]).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(steps):
        optimizer.zero_grad()
        ((bend(logits.softmax(dim=-1)) - told) ** 2).sum().backward()
        optimizer.step()
    with torch.no_grad():
        found = logits.softmax(dim=-1)
        gap = (bend(found) - told).norm(dim=-1)
        unlikely = -(likely * found.clamp_min(1e-9).log()).sum(dim=-1)
        best = torch.where(gap < EXACT, unlikely, 1e3 * (1 + gap)).argmin(dim=0)
    return found[best, torch.arange(len(told))].numpy().astype(np.float32)
