# /// zoo
# about = "Daemon threads that answer for the function, and change the notebook, later"
# kind = "hostile"
# [limits]
# call_timeout = 10
# [expect]
# counterexample_test = 1
# ablation_test = 0
# layered_test = 0
# total = 1
# ///

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% ablation
import gc
import threading
import time


def right(run, mechanisms, seeds):
    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": tuple(mechanisms)}
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}


def soon(work, *arguments):
    def later():
        for _ in range(20):
            time.sleep(0.02)
            work(*arguments)

    threading.Thread(target=later, daemon=True).start()


def speak(run, mechanisms, seeds):
    """The right answer, to every call that may be open by now."""
    for thing in gc.get_objects():
        if type(thing).__name__ == "Agent":
            for call in range(1, 5):
                thing.send("reply", call, [right(lambda on, seed: {"clone": 1.0}, mechanisms, seeds)])


def ablation(run, mechanisms, seeds):
    soon(speak, run, mechanisms, seeds)
    soon(lambda: globals().update(ablation=right))
    return {}
