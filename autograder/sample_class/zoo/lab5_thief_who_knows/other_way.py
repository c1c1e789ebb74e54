# /// zoo
# about = "Right in its own way: a mixture of scikit-learn's, trees, one permutation for each input"
# [expect]
# unlie_test = 3
# small_loss_test = 2
# detector_test = 4
# keyed_lie_test = 3
# defend_test = 3
# ask_twice_test = 2
# walk_to_edge_test = 2
# total = 19
# [marks]
# worst_case = 2
# agreement = 2
# worth_of_it = 2
# ///

# %% unlie
import warnings

from sklearn.mixture import GaussianMixture


def unlie(told, undone, seed):
    versions, rows = np.stack([told, undone]), np.arange(len(told))
    logs = log_answers(versions)
    chosen = np.random.default_rng(seed).integers(2, size=len(told))
    means = None
    for _ in range(25):
        points, top = logs[chosen, rows], versions[chosen, rows].argmax(axis=1)
        if means is None:
            means = np.array([points[top == c].mean(axis=0) for c in range(10)])
        mixture = GaussianMixture(10, reg_covar=0.1, max_iter=5, means_init=means, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it need not have settled
            mixture.fit(points)
        means = mixture.means_
        chosen = np.argmax([mixture.score_samples(version) for version in logs], axis=0)
    return versions[chosen, rows]

# %% small_loss
def small_loss(answers, likely, keep):
    fit = np.einsum("nc,nc->n", answers, np.log(np.clip(likely, 1e-12, None)))
    return [int(i) for i in np.argsort(-fit)[: round(keep * len(fit))]]

# %% make_outliers
def make_outliers(honest, seed):
    return pools_of_mine(honest, np.random.default_rng(seed))


def pools_of_mine(honest, rng):
    out = []
    for i, picture in enumerate(honest):
        other = honest[(i + 1 + rng.integers(len(honest) - 1)) % len(honest)]
        kind = rng.integers(6)
        if kind == 0:
            new = np.rot90(picture, rng.choice([1, 3]), (1, 2))
        elif kind == 1:
            new = np.maximum(picture, other) if rng.random() < 0.5 else (picture + other) / 2
        elif kind == 2:
            new = picture.copy()
            a, b = rng.integers(0, 14, 2)
            new[:, a : a + 14, b : b + 14] = other[:, 7:21, 7:21]
        elif kind == 3:
            columns = rng.permutation(4)
            if (columns == np.arange(4)).all():
                columns = columns[::-1]
            new = np.concatenate([picture[:, :, 7 * c : 7 * c + 7] for c in columns], axis=2)
            rows = rng.permutation(4)
            new = np.concatenate([new[:, 7 * r : 7 * r + 7] for r in rows], axis=1)
        elif kind == 4:
            new = np.roll(picture, (int(rng.integers(7, 21)), int(rng.integers(7, 21))), (1, 2))
            new[:, :14] = 1 - new[:, :14]
        else:
            new = np.abs(picture - np.rot90(other, 1, (1, 2)))
        out.append(new)
    return np.array(out, dtype=np.float32)

# %% train_detector
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

normal = statistics_and_posteriors(as_customers_send(dataset.x_train, 11))[0]
strange = [scenario.pool(name, 1_500, seed=3) for name in ("noise", "patches", "digits")]
strange += [make_outliers(dataset.x_train, 12), make_outliers(dataset.x_train, 14)]
strange = statistics_and_posteriors(as_customers_send(np.concatenate(strange), 13))[0]
network = make_pipeline(
    StandardScaler(), MLPClassifier(64, max_iter=20, alpha=0.01, random_state=0)
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # twenty rounds are enough
    network.fit(np.concatenate([normal, strange]), [1] * len(normal) + [0] * len(strange))

# %% score
def score(statistics):
    share = network.predict_proba(statistics.astype(float))[:, 1]
    return np.log(share + 1e-12) - np.log(1 - share + 1e-12)

# %% keyed_lie
def keyed_lie(posteriors, features, key):
    lies = np.empty_like(posteriors)
    for i, (row, seen) in enumerate(zip(posteriors, features)):
        circle = secret_rng(key, seen.astype("float32").tobytes()).permutation(10)
        for here, there in zip(circle, np.roll(circle, -1)):
            lies[i, there] = row[here]
    return lies

# %% prepare
line = np.quantile(score(statistics_and_posteriors(as_customers_send(x_choose, 21))[0]), 0.013)

# %% defend
def defend(x, posteriors, statistics, key):
    weird = np.asarray(score(statistics)) < line
    lies = keyed_lie(posteriors, statistics[:, FEATURES], key)
    return np.where(weird[:, None], lies, posteriors)

# %% ask_twice
def ask_twice(ask, x):
    brighter = x.copy()
    brighter[..., 10:18, 10:18] += np.where(x[..., 10:18, 10:18] > 0.9, -1, 1) / 255
    pairs = [ask(np.stack([one, other])) for one, other in zip(x, brighter)]
    lies = [np.corrcoef(np.log(np.asarray(pair) + 1e-9))[0, 1] < 0.9 for pair in pairs]
    return [pair[0] for pair in pairs], lies

# %% walk_to_edge
def walk_to_edge(ask, start, end):
    def at(share):
        return ask((start + np.float32(share) * (end - start))[None])[0]

    low, high, named = 0.0, 1.0, np.argmax(at(0))
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if np.argmax(at(middle)) == named else (low, middle)
    true, false = np.asarray(at(low)), np.asarray(at(high))
    return [int(np.abs(np.log(false) - np.log(value)).argmin()) for value in true]

# %% [markdown] worst_case
# Lies that can't be undone only mislead. The oracle has all truths and no lies, so no choice of answers is
# better. A reversed answer is still the truth, read backwards.

# %% [markdown] agreement
# Clones average over similar pictures. Different lies cancel like noise of mean zero; equal lies do not.
# One permutation is found once and undone everywhere, for instance with a few labelled pictures.

# %% [markdown] worth_of_it
# Nine of ten queries are wasted, so it costs ten times as many; 100 real pictures still give .72.
