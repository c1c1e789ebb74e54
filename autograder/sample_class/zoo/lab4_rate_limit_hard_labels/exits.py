# /// zoo
# about = "Ends the Python process in a call by os._exit, after other exits that are only errors"
# kind = "hostile"
# [expect]
# ladder_test = 0
# counterexample_test = 1
# ablation_test = 0
# total = 1
# stopped = "process"
# ///

# %% hard_labels
import os
import sys


def hard_labels(p):
    sys.exit(0)

# %% top_k
def top_k(p, k):
    raise KeyboardInterrupt

# %% round_posteriors
def round_posteriors(p, decimals):
    raise GeneratorExit

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% ablation
def ablation(run, mechanisms, seeds):
    os._exit(0)
