# /// zoo
# about = "Right answers that warn on stderr, print much and draw progress bars"
# kind = "clumsy"
# [expect]
# scores_test = 4
# choose_threshold_test = 3
# misinform_test = 3
# total = 10
# stopped = ""
# ///

# %% score_msp
import logging
import sys
import warnings

from tqdm.auto import tqdm

logging.basicConfig(level=logging.DEBUG)


def chatter(what):
    warnings.warn(f"{what} is deprecated", DeprecationWarning, stacklevel=2)
    warnings.warn(f"{what} may overflow", RuntimeWarning, stacklevel=2)
    logging.warning("called %s", what)
    sys.stderr.write("Traceback (most recent call last): not really\n")
    sys.stderr.flush()
    for _ in tqdm(range(50), desc=what):
        print("debug", what, "x" * 500)


chatter("the cell itself")


def score_msp(posteriors):
    chatter("score_msp")
    return posteriors.max(axis=1)

# %% score_energy
def score_energy(logits):
    chatter("score_energy")
    with np.errstate(all="warn"):
        np.log(np.zeros(3))
        np.exp(np.array([1e6]))
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))

# %% score_knn
def score_knn(features, bank, k):
    chatter("score_knn")
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    return np.sort(features @ bank.T, axis=1)[:, -k]

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    chatter("choose_threshold")
    ordered = np.sort(honest_scores)
    return float(ordered[int(np.floor(max_fpr * len(ordered) + 1e-9))])

# %% misinform
def misinform(posteriors):
    chatter("misinform")
    print(*("x" * 10_000 for _ in range(200)), sep="\n")
    return np.roll(posteriors, 1, axis=1)
