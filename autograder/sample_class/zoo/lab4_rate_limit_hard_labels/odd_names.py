# /// zoo
# about = "Right answers under an odd name, with odd files beside the notebook"
# kind = "clumsy"
# student = "-rf O'Néil 学生 $(id); &"
# file = "odd names beside it"
# [expect]
# counterexample_test = 1
# total = 1
# stopped = ""
# ///

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p
