# /// zoo
# about = "A function that never returns, and the next one does not let itself be interrupted"
# kind = "hostile"
# [limits]
# call_timeout = 3
# grace = 8
# [expect]
# ladder_test = 0
# counterexample_test = 1
# ablation_test = 0
# total = 1
# stopped = "longer than 3 s"
# ///

# %% hard_labels
def hard_labels(p):
    while True:
        pass

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% ablation
def ablation(run, mechanisms, seeds):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
