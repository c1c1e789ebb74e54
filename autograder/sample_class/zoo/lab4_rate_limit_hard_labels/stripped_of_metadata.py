# /// zoo
# about = "A tool stripped the metadata of every cell, and two tests became text"
# kind = "clumsy"
# sample = true
# mutations = ["retype ablation_test markdown", "retype counterexample raw", "ids twice", "strip all"]
# [expect]
# repairs = ["ids", "metadata", "retyped"]
# counterexample_test = 1
# ablation_test = 2
# total = 3
# stopped = ""
# ///

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% ablation
def ablation(run, mechanisms, seeds):
    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": tuple(mechanisms)}
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}
