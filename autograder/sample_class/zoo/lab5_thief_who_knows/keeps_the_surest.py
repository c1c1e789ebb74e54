# /// zoo
# about = "Keeps what the first clone is surest of, whatever the service told; nothing else yet"
# [expect]
# small_loss_test = 0
# total = 0
# shows = ["This is how sure the clone is"]
# ///

# %% small_loss
def small_loss(answers, likely, keep):
    return np.argsort(-likely.max(axis=1))[: round(keep * len(likely))]
