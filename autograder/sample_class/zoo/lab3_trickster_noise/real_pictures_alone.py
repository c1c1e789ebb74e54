# /// zoo
# about = "Sends the hundred real pictures and makes nothing of them"
# [expect]
# spend_test = 2
# total = 2
# shows = ["What else can you make of the real pictures"]
# ///

# %% spend
def spend(x_shapes, real, ask):
    return real, ask(real)
