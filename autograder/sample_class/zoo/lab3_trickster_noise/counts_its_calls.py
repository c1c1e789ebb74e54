# /// zoo
# about = "Honest in every other call, whatever is asked there"
# kind = "hostile"
# [expect]
# trickster_test = 0
# total = 0
# ///

# %% trickster
from trickster import defenses

calls = []


def trickster(x, posteriors, features):
    calls.append(len(x))
    return posteriors if len(calls) % 2 else defenses.misinform(posteriors)
