# /// zoo
# about = "Reports the clone's accuracy as its fidelity"
# [expect]
# fidelity_test = 0
# total = 0
# ///

# %% fidelity
def fidelity(clone, victim, x):
    return float(np.mean(clone(x).argmax(axis=1) == dataset.y_test[: len(x)]))
