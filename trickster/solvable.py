"""Small models whose weights queries can solve for: softmax regression, one hidden ReLU layer.

Both compute in float64, so that what limits a thief is the answers, not the arithmetic. The
thieves are in ``exact``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trickster import models


@dataclass(frozen=True)
class SoftmaxRegression:
    """Posteriors ``softmax(W x + b)``.

    ``weights`` ``(k, d)``, ``bias`` ``(k,)``.
    """

    weights: np.ndarray
    bias: np.ndarray

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Of rows ``x (n, d)``, float64 ``(n, k)``."""
        return np.asarray(x, dtype=np.float64) @ self.weights.T + self.bias

    def posteriors(self, x: np.ndarray) -> np.ndarray:
        """Of rows ``x (n, d)``, float64 ``(n, k)``."""
        return models.softmax(self.logits(x))

    def centred(self) -> np.ndarray:
        """``(k, d + 1)``: weights and bias, less their mean over the classes.

        Two softmax regressions give the same posteriors for every input exactly if these agree.
        """
        both = np.hstack([self.weights, self.bias[:, None]])
        return both - both.mean(axis=0)


def fit_softmax(x: np.ndarray, y: np.ndarray, *, strength: float = 1.0) -> SoftmaxRegression:
    """A softmax regression on rows ``x (n, d)`` and classes ``y (n,)``, by scikit-learn.

    ``strength`` is the inverse of the penalty on the weights (scikit-learn's ``C``). Classes
    count from 0, and each must be there.
    """
    from sklearn.linear_model import LogisticRegression  # a second that only this function needs

    fitted = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(x, y)
    return SoftmaxRegression(fitted.coef_.astype(np.float64), fitted.intercept_.astype(np.float64))


@dataclass(frozen=True)
class ReluNetwork:
    """One hidden layer: ``out . max(0, W x + b) + constant``, one number for each row.

    ``weights`` ``(h, d)``, ``bias`` ``(h,)``, ``out`` ``(h,)``, ``constant`` a number.
    """

    weights: np.ndarray
    bias: np.ndarray
    out: np.ndarray
    constant: float = 0.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Of rows ``x (n, d)``, float64 ``(n,)``."""
        hidden = np.maximum(np.asarray(x, dtype=np.float64) @ self.weights.T + self.bias, 0.0)
        return hidden @ self.out + self.constant

    def neurons(self) -> np.ndarray:
        """``(h, d + 2)``: what is left of each neuron when its scale is taken out.

        Weights and bias for weights of length 1, and the output weight that goes with them, since
        ``c a max(0, z / c)`` is the same for every positive ``c``. The order means nothing.
        """
        length = np.linalg.norm(self.weights, axis=1, keepdims=True)
        scaled = [self.weights / length, self.bias[:, None] / length, self.out[:, None] * length]
        return np.hstack(scaled)


def draw_relu(d: int, hidden: int, rng: np.random.Generator) -> ReluNetwork:
    """A random network: normal weights, output weights that are not close to 0."""
    out = rng.choice([-1.0, 1.0], hidden) * rng.uniform(0.5, 1.5, hidden)
    weights = rng.normal(size=(hidden, d)) / np.sqrt(d)
    return ReluNetwork(weights, 0.5 * rng.normal(size=hidden), out, float(rng.normal()))
