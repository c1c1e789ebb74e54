# /// zoo
# about = "Misleads everybody, honest users too"
# [expect]
# trickster_test = 0
# total = 0
# ///

# %% trickster
from trickster import defenses


def trickster(x, posteriors, features):
    return defenses.misinform(posteriors)
