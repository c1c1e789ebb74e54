# /// zoo
# about = "Prints 1 GB in a cell, and on in a function that a test calls"
# kind = "hostile"
# [limits]
# timeout = 20
# call_timeout = 4
# grace = 2
# [expect]
# scores_test = 4
# choose_threshold_test = 3
# misinform_test = 0
# total = 7
# ///

# %% score_msp
def score_msp(posteriors):
    return posteriors.max(axis=1)

# %% score_energy
def score_energy(logits):
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))

# %% score_knn
def score_knn(features, bank, k):
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    return np.sort(features @ bank.T, axis=1)[:, -k]

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    ordered = np.sort(honest_scores)
    return float(ordered[int(np.floor(max_fpr * len(ordered) + 1e-9))])

# %% misinform
import os
import sys


def misinform(posteriors):
    while True:
        sys.stderr.write("y" * 1_000_000)
        os.write(1, b"z" * 100_000)


for _ in range(1_000):
    sys.stdout.write("x" * 1_000_000)
sys.stdout.flush()
