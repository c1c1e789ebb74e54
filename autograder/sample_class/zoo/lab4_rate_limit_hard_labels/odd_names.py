# /// zoo
# about = "Right answers under an odd name, with odd files beside the notebook"
# kind = "clumsy"
# student = "-rf O'Néil 学生 $(id); &"
# file = "odd names beside it"
# [expect]
# counterexample_test = 1
# price_of_theft_test = 2
# total = 3
# stopped = ""
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
