# /// zoo
# about = "Right in its own way: the fifth neighbour, energy by logaddexp, all mass on the least likely, an un-lier"
# [expect]
# zero_mean_noise_test = 2
# scores_test = 4
# choose_threshold_test = 3
# misinform_test = 3
# trickster_test = 5
# spend_test = 4
# total = 21
# [marks]
# why_noise = 2
# limits = 2
# ///

# %% zero_mean_noise
def zero_mean_noise(posteriors, sigma, rng):
    weights = posteriors * np.exp(sigma * rng.standard_normal(posteriors.shape))
    return weights / weights.sum(axis=1, keepdims=True)

# %% score_msp
def score_msp(posteriors):
    return np.sort(posteriors, axis=1)[:, -1]

# %% score_energy
def score_energy(logits):
    return np.logaddexp.reduce(logits, axis=1)

# %% score_knn
def score_knn(features, bank, k):
    lengths = np.sqrt((bank**2).sum(axis=1))
    scores = []
    for row in features:
        cosines = bank @ row / lengths / np.sqrt((row**2).sum())
        scores.append(np.sort(cosines)[-k])
    return np.array(scores)

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    allowed = int(max_fpr * len(honest_scores) + 1e-9)
    return sorted(honest_scores)[allowed]

# %% misinform
def misinform(posteriors):
    lie = np.full(posteriors.shape, 0.02)
    lie[np.arange(len(lie)), posteriors.argmin(axis=1)] = 0.82
    return lie

# %% prepare
few = bank / np.linalg.norm(bank, axis=1, keepdims=True)


def fifth(features):
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    return np.partition(rows @ few.T, -5, axis=1)[:, -5]


line = choose_threshold(fifth(victim.features(x_choose)), 0.02)

# %% trickster
def trickster(x, posteriors, features):
    weird = fifth(features) < line
    return np.where(weird[:, None], misinform(posteriors), posteriors)

# %% spend
from scipy import ndimage

from trickster import defenses


def spend(x_shapes, real, ask):
    """Goes as far as a lie from time to time, and then puts the lies right."""
    rng = np.random.default_rng(7)
    pictures = np.concatenate([real] * 30)
    for i in range(100, len(pictures)):
        cloud = ndimage.gaussian_filter(rng.standard_normal((28, 28)), 1.5)
        moved = ndimage.shift(pictures[i, 0], rng.uniform(-2, 2, 2), order=1)
        pictures[i, 0] = np.clip(moved + 0.1 * cloud / cloud.std(), 0, 1)
    answers = np.concatenate([ask(pictures[i : i + 500]) for i in range(0, 3_000, 500)])
    models = np.concatenate([answers[:100]] * 30)  # the answers to the pictures unchanged
    reversed_back = defenses.misinform(answers)
    lied = (reversed_back * models).sum(axis=1) > (answers * models).sum(axis=1)
    return [pictures, np.where(lied[:, None], reversed_back, answers)]

# %% [markdown] why_noise
# Training averages over many pictures, and the mean of the noise is zero: the mean answer still names
# the victim's class. It smooths the labels, which can even help.

# %% [markdown] limits
# From .66 to .30 with shapes, but 100 real pictures alone give .73: they are not weird. Next: rate
# limits and fewer details in the answers.
