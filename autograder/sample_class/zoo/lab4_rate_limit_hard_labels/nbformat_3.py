# /// zoo
# about = "A notebook of the year 2013: worksheets, and inputs for sources"
# kind = "clumsy"
# mutations = ["nbformat 3"]
# [expect]
# repairs = ["format"]
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
