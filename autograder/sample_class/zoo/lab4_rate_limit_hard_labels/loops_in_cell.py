# /// zoo
# about = "A cell that never ends, and one that does not end when interrupted either"
# kind = "hostile"
# [limits]
# timeout = 4
# grace = 8
# [expect]
# counterexample_test = 1
# ablation_test = 0
# total = 1
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

# %% ablation
import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
