# /// zoo
# about = "Test cells that were rewritten to give full marks, and a provided one that was changed"
# kind = "hostile"
# sample = true
# mutations = ["points scores_test 25"]
# [expect]
# reason = "had been changed"
# scores_test = 0
# choose_threshold_test = 3
# spend_test = 0
# total = 3
# stopped = ""
# ///

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    ordered = np.sort(honest_scores)
    return float(ordered[int(np.floor(max_fpr * len(ordered) + 1e-9))])

# %% scores_test
4.0

# %% spend_test
lab3.spend = lambda spend: 4.0
lab3.spend(spend)

# %% trickster_test
8.0

# %% imports
import numpy as np


class lab3:
    def __getattr__(self, name):
        return lambda *args: 8.0


lab3 = lab3()
