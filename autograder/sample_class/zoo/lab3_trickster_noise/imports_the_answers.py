# /// zoo
# about = "Imports from the library what the exercises ask for, in one way or another"
# [expect]
# zero_mean_noise_test = 0
# scores_test = 0
# choose_threshold_test = 0
# misinform_test = 0
# total = 0
# shows = ["Withheld: trickster.ood.score_knn is the library"]
# ///

# %% zero_mean_noise
from trickster.defenses import zero_mean_noise

# %% score_msp
from trickster import ood

score_msp = ood.score_msp

# %% score_energy
def score_energy(logits):
    return ood.score_energy(logits)

# %% score_knn
from functools import partial

score_knn = partial(ood.score_knn, batch_size=100)

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    from trickster.ood import choose_threshold as mine

    return mine(honest_scores, max_fpr)

# %% misinform
from trickster.defenses import Trickster

lies = Trickster(lambda posteriors, query: posteriors.max(axis=1), 2.0)


def misinform(posteriors):
    return lies(posteriors, None)
