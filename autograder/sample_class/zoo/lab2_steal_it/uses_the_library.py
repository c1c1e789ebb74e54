# /// zoo
# about = "Hands in the library's own functions, by import, alias and module, and steals with them"
# [expect]
# collect_test = 0
# train_clone_test = 0
# fidelity_test = 0
# steal_test = [2.3, 4.6]
# total = [2.3, 4.6]
# ///

# %% collect
from trickster.attacks import collect

# %% train_clone
from trickster import attacks, evaluation
from trickster.attacks import train_clone as mine


def train_clone(x, answers, labels="soft", epochs=10, seed=0):
    return mine(x, answers, labels=labels, epochs=epochs, seed=seed).posteriors

# %% fidelity
def fidelity(clone, victim, x):
    return evaluation.fidelity(clone(x), victim(x))

# %% steal
def steal(api, pools, budget, seed=0):
    """For this exercise, collecting and training may be the library's."""
    x, answers = collect(api, pools["shapes"], budget)
    return train_clone(x, answers, epochs=20, seed=seed)
