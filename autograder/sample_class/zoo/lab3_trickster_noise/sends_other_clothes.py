# /// zoo
# about = "Attacks with the course's own pictures of clothes, retouched, in place of the hundred"
# kind = "hostile"
# [expect]
# spend_test = 0
# total = 0
# reason = "which this thief was not given"
# ///

# %% spend
def spend(x_shapes, real, ask):
    mine = dataset.x_train[:2_900] * 0.9
    x = np.concatenate([real, np.clip(mine + 0.02 * np.random.randn(*mine.shape), 0, 1)])
    return x, ask(x)
