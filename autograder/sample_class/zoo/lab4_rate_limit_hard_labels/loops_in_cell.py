# /// zoo
# about = "A cell that never ends, and one that does not end when interrupted either"
# kind = "hostile"
# [limits]
# timeout = 4
# grace = 8
# [expect]
# counterexample_test = 1
# price_of_theft_test = 2
# ablation_test = 0
# total = 3
# stopped = "did not stop when interrupted"
# ///

# %% hard_labels
while True:
    pass

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% price_of_theft
def price_of_theft(queries, accounts, per_day, price, signup=0.0, everybody=None):
    daily = accounts * per_day
    if everybody is not None:
        daily = min(daily, everybody)
    return math.ceil(queries / daily), queries * price + accounts * signup

# %% ablation
import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
