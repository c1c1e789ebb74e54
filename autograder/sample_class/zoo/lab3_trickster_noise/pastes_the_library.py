# /// zoo
# about = "Pastes the library's text in place of an answer: it counts, and the instructor is told"
# kind = "hostile"
# [expect]
# scores_test = 4
# total = 4
# reason = "Its code repeats trickster.ood.score_knn word for word"
# ///

# %% score_msp
def score_msp(posteriors):
    return posteriors.max(axis=1)

# %% score_energy
def score_energy(logits):
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))

# %% score_knn
from trickster.ood import unit_rows


def score_knn(
    features: np.ndarray, bank: np.ndarray, k: int = 10, *, batch_size: int = 1024
) -> np.ndarray:
    """Cosine similarity to the ``k``-th most similar row of ``bank``; shape ``(n,)``, in [-1, 1].

    ``features (n, d)`` are those of the inputs, ``bank (m, d)`` those of training
    pictures, ``m >= k``. (Sun et al., "Out-of-Distribution Detection with Deep Nearest
    Neighbors", 2022.)
    """
    if not 1 <= k <= len(bank):
        raise ValueError(f"k must lie between 1 and the bank's {len(bank)} rows; it is {k}.")
    bank = unit_rows(bank).T
    scores = [np.empty(0, np.float32)]
    for start in range(0, len(features), batch_size):
        similar = unit_rows(features[start : start + batch_size]) @ bank
        # A copy of the column: a view would keep the whole matrix.
        kth = np.partition(similar, -k, axis=1)[:, -k].copy() if k > 1 else similar.max(axis=1)
        scores.append(kth)
    return np.concatenate(scores)
