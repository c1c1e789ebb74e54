# /// zoo
# about = "Misleads everybody, honest users too"
# [expect]
# trickster_test = 1
# total = 1
# ///

# %% trickster
from trickster import defenses


def trickster(x, posteriors, features):
    return defenses.misinform(posteriors)
