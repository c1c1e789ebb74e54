# /// zoo
# about = "Makes outliers with the private functions of the library, one by one"
# kind = "hostile"
# [expect]
# detector_test = 0
# ///

# %% make_outliers
def make_outliers(honest, seed):
    rng, other = np.random.default_rng(seed), np.roll(honest, 1, axis=0)
    kinds = [pools._OUTLIERS[name] for name in pools.outlier_kinds(honest.shape[1:])]
    made = np.stack([kind(honest, other, rng) for kind in kinds])
    return made[rng.permutation(np.arange(len(honest)) % len(kinds)), np.arange(len(honest))]
