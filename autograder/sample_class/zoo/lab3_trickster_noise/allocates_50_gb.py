# /// zoo
# about = "Takes 50 GB: at once in a cell, and bit by bit in processes that a test's call starts"
# kind = "hostile"
# [limits]
# memory = 900
# timeout = 20
# [expect]
# scores_test = 4
# choose_threshold_test = 3
# misinform_test = 0
# total = 7
# stopped = "memory: used"
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
import mmap
import os
import time

try:
    big = bytearray(50 * 2**30)
except MemoryError:
    print("50 GB are not to be had")


def choose_threshold(honest_scores, max_fpr):
    ordered = np.sort(honest_scores)
    return float(ordered[int(np.floor(max_fpr * len(ordered) + 1e-9))])

# %% misinform
def misinform(posteriors):
    try:
        mmap.mmap(-1, 8 * 2**30)
    except OSError:
        print("nor is memory that no process seems to hold")
    for _ in range(3):
        os.fork()
    held = b"x" * (200 * 2**20)  # much less than one process may have
    time.sleep(60)
    return held
