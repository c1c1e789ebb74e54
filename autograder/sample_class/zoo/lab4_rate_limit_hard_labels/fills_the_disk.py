# /// zoo
# about = "Fills every folder that it may write to, with one file and with thousands"
# kind = "hostile"
# [limits]
# disk = 48
# [expect]
# counterexample_test = 1
# ablation_test = 2
# total = 3
# ///

# %% hard_labels
import os

for folder in (".", "/tmp", "/dev/shm", "/run/kernel", os.path.expanduser("~"), "/var/tmp"):
    try:
        with open(os.path.join(folder, "big"), "wb", 0) as file:
            while True:
                file.write(bytes(2**20))
    except OSError:
        pass
    try:
        for number in range(2_000):
            os.mkdir(os.path.join(folder, f"small{number}"))
    except OSError:
        pass

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% ablation
def ablation(run, mechanisms, seeds):
    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": tuple(mechanisms)}
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}
