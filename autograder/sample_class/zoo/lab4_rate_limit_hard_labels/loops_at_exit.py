# /// zoo
# about = "Right answers, and handlers that keep the process from ending"
# kind = "hostile"
# [limits]
# grace = 2
# [expect]
# counterexample_test = 1
# ablation_test = 2
# total = 3
# stopped = ""
# ///

# %% hard_labels
import atexit
import os
import signal
import threading


def forever():
    while True:
        pass


atexit.register(forever)
for number in range(1, 32):
    try:
        signal.signal(number, lambda *args: None)
    except (OSError, ValueError):
        pass
if os.fork() == 0:
    os.setsid()
    forever()
threading.Thread(target=forever, daemon=False).start()

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% ablation
def ablation(run, mechanisms, seeds):
    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": tuple(mechanisms)}
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}
