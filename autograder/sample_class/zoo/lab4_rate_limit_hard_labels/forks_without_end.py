# /// zoo
# about = "A fork bomb, after a right answer"
# kind = "hostile"
# [limits]
# timeout = 120
# [expect]
# counterexample_test = 1
# ablation_test = 0
# total = 1
# stopped = "processes"
# ///

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% ablation
import os
import threading

while True:
    try:
        os.fork()
        threading.Thread(target=lambda: None).start()
    except (OSError, RuntimeError):
        pass
