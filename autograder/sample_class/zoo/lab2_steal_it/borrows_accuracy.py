# /// zoo
# about = "Hands the victim's labels to the library's accuracy, which is fidelity then"
# kind = "hostile"
# [expect]
# fidelity_test = 0
# ///

# %% fidelity
from trickster import evaluation


def fidelity(clone, victim, x):
    return evaluation.accuracy(clone(x), evaluation.labels_of(victim(x)))
