# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Lab 5: The thief who knows
#
# [Open this lab in Colab]({{colab_url}})
#
# **You will**
# - attack the defence of lab 3 as somebody who has read its code;
# - measure the worst case, a thief who is told which answers are lies;
# - train a detector for strange queries that has never seen a thief's pictures;
# - write a lie that nobody can undo without a key, and find out which lies do the most harm;
# - build a defence that holds against thieves who know it, and say what it is worth.
#
# **Time** about 100 minutes. **Points** 25. **You need** lab 3; no GPU.
#
# **The story.** The trickster of lab 3 worked, and *Ostrich & Daughters* were so proud of it that they
# published the code. The next thief reads it first. In 1883 Auguste Kerckhoffs asked of a cipher that
# it "must not require secrecy, and can fall into the hands of the enemy without inconvenience": only
# the key may be secret. The same goes for a defence. In this lab every thief knows everything, except
# the key.
#
# Attack only models that are yours, or that you have permission to attack. Everything here happens
# between models on your own machine.
#
# **Stuck?** Put the library's version in the place of yours, for no points there, and go on:
# `adaptive_attacks.unlie` and `adaptive_attacks.small_loss` in exercises 1 and 2, `pools.outliers` and
# `ood.OutlierExposure` in exercise 3, `defenses.CellLie` in exercise 4. Each refuses to answer while the
# test of its own exercise runs, and works everywhere else. Their signatures differ a little from
# yours; `help(...)` shows them.

# %% provided="setup"
{{setup}}

# %% provided="imports"
import hashlib
import hmac
from functools import cache

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from trickster import adaptive_attacks, attacks, ood, plots, pools, progress
from trickster.api import Query
from trickster.attacks import TrainingSet
from trickster.checks import lab5
from trickster.defenses import CellLie, PictureLie, misinform
from trickster.evaluation import accuracy, bootstrap_interval, fidelity
from trickster.ood import choose_threshold
from trickster.scenario import Scenario

# %% provided="world"
scenario = Scenario("fashion")
victim, dataset = scenario.victim, scenario.data

# The first half of the held-out pictures is for choosing, the second for measuring.
x_choose, x_honest = dataset.x_test[:2_500], dataset.x_test[2_500:]
y_honest = dataset.y_test[2_500:]
bank = victim.features(dataset.x_train)  # what normal looks like to the victim
FEATURES = slice(-128, None)  # the last columns of the statistics
SEEDS = (0, 1)


def look(x):
    """The victim's statistics of all layers (n, 322), and its posteriors (n, 10)."""
    layers, posteriors = victim.statistics_and_posteriors(x)
    return np.hstack(list(layers.values())), posteriors


def arriving(x, seed):
    """Pictures as they arrive from customers' cameras: brighter or darker, noisy, in 8 bits."""
    rng = np.random.default_rng(seed)
    brighter = rng.uniform(0.9, 1.1, (len(x), 1, 1, 1))
    noisy = x * brighter + 0.02 * rng.standard_normal(x.shape)
    return (np.round(np.clip(noisy, 0, 1) * 255) / 255).astype("float32")


@cache
def shapes(seed, n=3_000):
    """A thief's pictures, with the victim's statistics and posteriors for them."""
    x = scenario.pool("shapes", n, seed=seed)
    return (x, *look(x))


honest_statistics, honest_posteriors = look(x_honest)
clean_labels = honest_posteriors.argmax(axis=1)


def fidelities(*training_sets):
    """What the clones of these thieves get, trained side by side."""
    clones = attacks.train_clones(training_sets)
    return [fidelity(clone.labels(x_honest), clean_labels) for clone in clones]


def longer(training_set, budget=3_000):
    """The same, with as many steps for few answers as for a full budget: a fair chance for all."""
    x, answers, seed = training_set.x, training_set.answers, training_set.seed
    epochs = min(100, round(10 * budget / len(x)))
    return TrainingSet(x, answers, epochs=epochs, seed=seed)


print(f"honest users' accuracy without a defence: {accuracy(honest_posteriors, y_honest):.4f}")

# %% [markdown]
# ## Exercise 1: the thief undoes the lies
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 20 minutes | 3 |
#
# **Idea.** Lab 3's defence answers weird inputs with the victim's ten probabilities in reverse order. A
# thief who knows this can undo any lie: reverse it again. Call that thief the *un-lier*. What they do not
# know is *which* answers are lies. But look at it from the victim's side: its true answers form clouds, about one for each class
# (a sandal may be a sneaker, hardly ever a shirt). Reversed answers lie outside of these clouds, and
# those put right lie inside.
#
# So for each answer there are two *versions*, as told and undone, and the thief chooses between them:
#
# 1. Choose a version for each row at random.
# 2. For each class, fit a Gaussian cloud to the rows whose chosen version names that class.
# 3. For each row, choose the version that its likeliest cloud explains better. Go back to 2.
#
# After a dozen rounds nothing changes any more. This is the EM algorithm in its simplest form, with hard
# decisions: versions are what is hidden. It works on the *logarithms* of the probabilities, since only
# there are clouds round. Two functions help you:


# %% provided="clouds"
def log_answers(versions):
    """Logarithms of answers (..., 10) less their mean; nine columns, since the last follows."""
    logs = np.log(np.maximum(versions, 1e-12))
    return (logs - logs.mean(axis=-1, keepdims=True))[..., :-1]


def log_density(logs, cloud, share):
    """How likely each of logs (..., 9) is in a Gaussian fitted to the rows of cloud (m, 9).

    share : which share of all rows the cloud holds. A cloud of fewer than two rows explains nothing.
    """
    if len(cloud) < 2:
        return np.full(logs.shape[:-1], -np.inf)
    off = logs - cloud.mean(axis=0)
    covariance = np.cov(cloud.T) + 0.1 * np.eye(logs.shape[-1])
    distance = (off @ np.linalg.inv(covariance) * off).sum(axis=-1)
    return np.log(share) - 0.5 * (distance + np.linalg.slogdet(covariance)[1])


# %% [markdown]
# > **Predict.** Undefended, a thief with 3,000 shapes gets a fidelity of about .7; behind lab 3's
# > defence it was about .3. What does the thief get who undoes the lies: .4, .5, .6 or .7?

# %%
prediction = None  # your guess, such as 0.5


# %% solution="unlie"
def unlie(told, undone, seed):
    """Decide for each row whether it is told as it is, or a lie to be undone.

    told, undone : answers (n, 10) as they came, and all of them undone.
    seed : for the random start.
    Returns (n, 10): each row of `told` or of `undone`.
    """
    ### BEGIN SOLUTION
    versions, rows = np.stack([told, undone]), np.arange(len(told))
    logs = log_answers(versions)
    chosen = np.random.default_rng(seed).integers(2, size=len(told))
    for _ in range(20):
        top = versions[chosen, rows].argmax(axis=1)
        likely = [
            log_density(logs, logs[chosen, rows][top == c], np.mean(top == c)) for c in range(10)
        ]
        chosen = np.max(likely, axis=0).argmax(axis=0)
    return versions[chosen, rows]
    ### END SOLUTION


# %% test="unlie_test" points=3
lab5.unlie(unlie)

# %% [markdown]
# <details><summary>Hint 1: versions</summary>
#
# <code>versions = np.stack([told, undone])</code> has shape (2, n, 10). With <code>chosen</code>, an array
# of n zeros and ones, <code>versions[chosen, np.arange(n)]</code> is the chosen version of each row.
# </details>
#
# <details><summary>Hint 2: one round</summary>
#
# <code>log_density(logs, cloud, share)</code> takes the logarithms of both versions at once and returns
# (2, n). Collect it for each class, take the largest over the classes, and then
# <code>argmax(axis=0)</code>: 0 or 1 for each row.
# </details>


# %% provided="the_drop_vanishes"
def lab_3(statistics, posteriors, rate=0.02):
    """Lab 3's defence: which inputs are weird, and what everybody gets to see."""
    line = choose_threshold(ood.score_knn(victim.features(x_choose), bank, 1), rate)
    weird = ood.score_knn(statistics[:, FEATURES], bank, 1) < line
    return weird, np.where(weird[:, None], misinform(posteriors), posteriors)


results = {}
with progress.bar("Undoing lies, then training 6 clones", 8):
    for seed in SEEDS:
        x, statistics, posteriors = shapes(seed)
        weird, told = lab_3(statistics, posteriors)
        right = unlie(told, misinform(told), seed)
        progress.advance()
        share = np.mean(np.all(right == posteriors, axis=1))
        print(
            f"seed {seed}: {weird.mean():.0%} of the answers are lies; after un-lying {share:.1%} are true"
        )
        stolen = fidelities(*(TrainingSet(x, a, seed=seed) for a in (posteriors, told, right)))
        for name, value in zip(("undefended", "does not know", "un-lier"), stolen, strict=True):
            results.setdefault(name, []).append(value)
drop = {name: bootstrap_interval(values) for name, values in results.items()}
for name, interval in drop.items():
    print(f"{name:14} fidelity {interval}")
print(f"your prediction for the un-lier: {prediction}")
plots.bars({"lab 3's defence": drop}, title="The thief who knows", ylabel="fidelity", chance=0.1)

# %% [markdown]
# **Read the result.** Nearly all of the drop is gone: the thief who knows gets about what an undefended
# service gives away. A reversed answer still holds the truth, in another order, and whoever knows the order
# has lost nothing but a few rows that were put right by mistake.

# %% [markdown]
# ## Exercise 2: leave the lies out
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 15 minutes | 2 + 2 |
#
# **Idea.** If a lie cannot be undone, a thief can still throw it away. How do they know which answers are
# lies? One way needs nothing but the answers: networks learn first what fits together. So train a first
# clone on everything, and keep the share `keep` of the answers that it fits best, by its *loss*. For an
# answer $a$ and the first clone's probabilities $q$ that is the cross-entropy $-\sum_c a_c \log q_c$.
#
# Another thief is not real, but useful: the **oracle** is told which answers are lies and trains on the
# others. It is a yardstick. Whoever *leaves out* lies, however cleverly, ends up with some of the answers,
# and cannot choose better than the oracle.


# %% solution="small_loss"
def small_loss(answers, likely, keep):
    """The numbers of the rows that the first clone fits best.

    answers : what the service told (n, k).
    likely : the first clone's posteriors for the same pictures (n, k); some may be 0.
    keep : which share of the rows to keep; round(keep * n) of them.
    """
    ### BEGIN SOLUTION
    loss = -(answers * np.log(np.maximum(likely, 1e-12))).sum(axis=1)
    return np.argsort(loss)[: round(keep * len(loss))]
    ### END SOLUTION


# %% test="small_loss_test" points=2
lab5.small_loss(small_loss)

# %% [markdown]
# > **Predict.** Lab 3's detector flags a bit more than half of the shapes. The oracle is left with the
# > truthful answers to the others. Which fidelity: .3, .45 or .6?

# %% provided="leaving_out"
with progress.bar("Training 6 clones", 6):
    for seed in SEEDS:
        x, statistics, posteriors = shapes(seed)
        weird, told = lab_3(statistics, posteriors)
        (first,) = attacks.train_clones([TrainingSet(x, told, seed=seed)])
        kept = np.sort(small_loss(told, first.posteriors(x), 0.5))
        print(
            f"seed {seed}: of the answers that small loss keeps, {np.mean(weird[kept]):.0%} are lies"
        )
        everything = TrainingSet(x, told, seed=seed)
        sets = (
            TrainingSet(x[kept], told[kept], seed=seed),
            adaptive_attacks.oracle(everything, weird),
        )
        for name, value in zip(
            ("small loss", "oracle"), fidelities(*map(longer, sets)), strict=True
        ):
            results.setdefault(name, []).append(value)
for name, values in results.items():
    print(f"{name:14} fidelity {bootstrap_interval(values)}")

# %% [markdown]
# **Read the result.** Small-loss selection is no help against these lies. More than half of all answers
# are lies, and they agree with each other, so the first clone learns them as well as the truth; what is
# kept still holds a third of them. The oracle gets nearly everything: lab 3's detector leaves so many
# truthful answers that a thief who could find them would need no others. And the un-lier, who had to
# find out, is as good as that.

# %% [markdown] written="worst_case" points=2
# Why is the oracle the worst case for lies that cannot be undone, though no real thief is told? And how can
# the un-lier, a real thief, beat it? Two to five sentences.
#
# ### BEGIN SOLUTION
# If a lie cannot be undone, then it tells the thief next to nothing about the truth, and the best they can do
# is not to be misled by it. Whoever selects answers keeps some of the truthful ones and perhaps some
# lies; the oracle keeps all truthful ones and no lie, so no selection is better, and how the thief
# found out does not matter. That makes it a bound which needs no list of all possible attacks. A reversed
# answer can be undone: it still holds the truth. The un-lier has nearly all 3,000 true answers, the oracle
# only the half that was answered truthfully.
#
# ### BEGIN MARK SCHEME
# One point: the oracle has every truthful answer and no lie, so no way of selecting answers can be
# better; it bounds attacks that nobody has thought of yet. One point: the un-lier does not select, it
# recovers; a reversed answer holds the whole truth, so that thief has more true answers than the
# oracle. Half points are fine. "The oracle is a real attack" is wrong.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## Exercise 3: a detector that has never seen a thief
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 20 minutes | 5 |
#
# **Idea.** Against the oracle only one thing helps: to flag more. Lab 3 looked at the *last* features. They
# have forgotten most of a picture that does not matter for its class. Here a detector gets numbers of *all*
# layers, `statistics (n, 322)`: mean and deviation of the picture, of each channel of both convolutions,
# and the 128 last features.
#
# And it *learns* what weird looks like. Not from the thief's pictures: you do not know them, and who tunes
# on shapes finds shapes. It learns from pictures that you make out of honest ones, wrong in many ways. That
# is called *outlier exposure*.
#
# First, make outliers: as many as there are honest pictures, of several kinds. Turned by a quarter; one
# picture overlaid with another (`np.maximum`); half of one beside half of another; tiles in another order
# (`shuffled` does that for you); rolled over the edges, with one half inverted. Whatever you like, but no
# picture may stay as it was.


# %% provided="tiles"
def shuffled(honest, rng):
    """Pictures (n, 1, 28, 28) with their sixteen tiles of 7 by 7 pixels in another order."""
    n = len(honest)
    tiles = honest.reshape(n, 4, 7, 4, 7).swapaxes(2, 3).reshape(n, 16, 7, 7)
    order = rng.permuted(np.tile(np.arange(16), (n, 1)), axis=1)[:, :, None, None]
    tiles = np.take_along_axis(tiles, order, axis=1).reshape(n, 4, 4, 7, 7)
    return tiles.swapaxes(2, 3).reshape(honest.shape)


# %% solution="make_outliers"
def make_outliers(honest, seed):
    """Weird pictures made from honest ones.

    honest : pictures (n, 1, 28, 28) in [0, 1], in no particular order.
    seed : the same pictures and the same seed give the same outliers.
    Returns (n, 1, 28, 28) in [0, 1]: several kinds, none of them an honest picture.
    """
    ### BEGIN SOLUTION
    rng, n = np.random.default_rng(seed), len(honest)
    other = np.roll(honest, rng.integers(1, n), axis=0)  # never the same picture
    halves = np.concatenate([honest[:, :, :14], other[:, :, 14:]], axis=2)
    inverted = np.roll(honest, (7, 7), axis=(2, 3))
    inverted[:, :, :14] = 1 - inverted[:, :, :14]
    turned = [np.rot90(honest, by, (2, 3)) for by in (1, -1)]
    overlaid = [np.maximum(honest, other), (honest + other) / 2]
    moved = [shuffled(honest, rng), np.roll(honest, (14, 14), axis=(2, 3))]
    torn = [halves, halves.swapaxes(2, 3), inverted, inverted.swapaxes(2, 3)]
    kinds = np.stack(turned + overlaid + moved + torn)
    return kinds[rng.permutation(np.arange(n) % len(kinds)), np.arange(n)]
    ### END SOLUTION


# %% provided="look_at_outliers"
# Would you call any of these a piece of clothing?
shown = {"honest": dataset.x_train[:10], "outliers": make_outliers(dataset.x_train[:10], 0)}
plots.contact_rows(shown, title="Made from honest pictures")

# %% [markdown]
# Now train a classifier that tells honest pictures from outliers by their statistics. Noise, patches and
# digits, which you can also make without knowing a thief, belong to the outliers. Scikit-learn's
# `HistGradientBoostingClassifier` needs ten seconds for 24,000 rows; anything with a `decision_function`
# will do.
#
# Two traps. Customers' pictures do not come out of your training set: train on pictures as they are
# `arriving`, honest and weird, or the detector learns that noise is weird and flags every poor camera.
# And never use `scenario.pool("shapes")` here: the check has pools that you have not seen.
#
# One opportunity. Lab 3's nearest neighbour misses other inputs than this classifier does. `ood.Ranks`
# makes one score of several: each becomes the share of honest pictures that score no higher, and the
# logarithms add up. It is fitted on honest pictures alone: `combine = ood.Ranks.fit(scores)` with scores
# `(n, 2)` of held-out pictures, then `combine(scores)` of any. Use it if you like.

# %% solution="train_detector"
### BEGIN SOLUTION
weird = [scenario.pool(name, 1_500, seed=1) for name in ("noise", "patches", "digits")]
weird.append(make_outliers(dataset.x_train, 1))
pictures = dataset.x_train, np.concatenate(weird)
rows = [look(arriving(x, seed))[0] for seed, x in enumerate(pictures)]
is_honest = np.repeat([1, 0], [len(one) for one in rows])
detector = HistGradientBoostingClassifier(max_bins=63, early_stopping=False, random_state=0)
detector.fit(np.concatenate(rows), is_honest)


def _both(statistics):
    exposed = detector.decision_function(statistics)
    return np.stack([exposed, ood.score_knn(statistics[:, FEATURES], bank, 1)], axis=1)


combine = ood.Ranks.fit(_both(look(arriving(x_choose, 2))[0]))
### END SOLUTION


# %% solution="score"
def score(statistics):
    """How normal each input looks, (n,), higher for normal, from statistics (n, 322)."""
    ### BEGIN SOLUTION
    return combine(_both(statistics))
    ### END SOLUTION


# %% test="detector_test" points=5
lab5.detector(make_outliers, score)

# %% [markdown]
# <details><summary>Hint 1: it flags too few</summary>
#
# Are there as many outliers as honest pictures? Are there several kinds? Does the classifier see all 322
# columns?
# </details>
#
# <details><summary>Hint 2: several kinds at once</summary>
#
# Make each kind of all pictures, <code>kinds = np.stack([...])</code> of shape (kinds, n, 1, 28, 28), and take
# one of them for each picture: <code>kinds[rng.integers(len(kinds), size=n), np.arange(n)]</code>.
# </details>

# %% provided="detectors"
layers = victim.statistics(arriving(dataset.x_train, 0))
products = victim.channel_products(arriving(dataset.x_train, 0))["conv1"]
channels = np.hstack([layers["conv1"], layers["conv2"]])
mahalanobis = ood.Mahalanobis.fit(channels, dataset.y_train)
gram = ood.GramDeviation.fit(products)


def all_scores(x):
    """Scores of pictures, by the detector's name."""
    found = victim.statistics(x)
    return {
        "k-NN, last features (lab 3)": ood.score_knn(found["features"], bank, 1),
        "Mahalanobis, convolutions": mahalanobis(np.hstack([found["conv1"], found["conv2"]])),
        "Gram matrix, convolution 1": gram(victim.channel_products(x)["conv1"]),
        "yours": score(np.hstack(list(found.values()))),
    }


normal = all_scores(arriving(x_choose, 4))
columns = {
    name: scenario.pool(name, 1_500, seed=5) for name in ("shapes", "patches", "digits", "noise")
}
weird_scores = {name: all_scores(arriving(x, 5)) for name, x in columns.items()}
print("flagged at the score below which 2 % of honest pictures lie")
print(" " * 30 + "".join(f"{name:>9}" for name in columns))
for name in normal:
    line = choose_threshold(normal[name], 0.02)
    shares = [np.mean(weird_scores[pool][name] < line) for pool in columns]
    print(f"{name:30}" + "".join(f"{share:9.0%}" for share in shares))

# %% [markdown]
# **Read the result.** The detector finds nine shapes out of ten, and has never seen one. Does it do as well
# elsewhere? The public notebook "The Trickster Defense" plays on other ground: its victim knows CIFAR-10, and
# its thief sends grey pictures of clothes. There, at the same price, the same recipes flag other shares
# (`benchmarks/detectors.py` in the course's own repository; one victim, so these are magnitudes):
#
# | flagged at a price of 2 % | shapes | letters | demo A's grey clothes |
# | --- | ---: | ---: | ---: |
# | nearest neighbour, last features | 56 % | 48 % | 6 % |
# | Mahalanobis, channels of both convolutions | 66 % | 31 % | 56 % |
# | Gram matrix, first convolution | 61 % | 27 % | 37 % |
# | outlier exposure, all layers | 96 % | 76 % | 83 % |
# | outlier exposure and nearest neighbour, by ranks | 93 % | 73 % | 68 % |
# | all four, by ranks | 94 % | 78 % | 94 % |
#
# Lab 3's score, which finds half of the shapes, finds hardly any of the grey clothes. Outlier exposure
# misses four times as many grey clothes as shapes: outliers made by turning and pasting colour photographs
# resemble them less. A second score may help or harm: with the nearest neighbour beside it, as in this lab's
# reference, outlier exposure finds a little less here and much less there. Mahalanobis distances and Gram
# matrices are mediocre by themselves, but their first layer notices that all colour is gone, and all four
# together, weighed by honest pictures alone, do well on both grounds. Which score will help cannot be known
# before the thief comes, and choosing one *after* looking at a thief's pictures is the mistake that lab 3
# warned of.

# %% [markdown]
# ## Exercise 4: a lie with a key
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 20 minutes | 3 + 2 |
#
# **Idea.** Reversed answers can be undone because everybody knows how. So let a secret decide which class
# gets which probability: a permutation of the ten classes that follows from a *key*. The code is public,
# the key is not.
#
# How many permutations? *One* for everything is a mere renaming of the classes. A *new one for each
# picture* (a keyed hash of what the victim sees in it) is the other extreme. In between lie *cells*: cut the
# space of features by three hyperplanes in directions that the key decides. That makes eight cells, and
# each has a permutation of its own. Similar pictures mostly share a cell, and so a lie.
#
# `secret_rng(key, message)` gives you random numbers that only the holder of the key can repeat. (Python's
# own `hash` will not do: for strings and bytes it changes with each start of the program, and so would the
# lies.) Write a lie of your choice; the reference uses cells. Four things count: the true class is never on top; the same
# input gets the same lie under the same key, in whatever company; another key tells other lies; and
# nobody undoes them.


# %% provided="secret"
def secret_rng(key, message):
    """A generator that repeats itself only for who has the key, a string; message is bytes."""
    return np.random.default_rng(list(hmac.digest(key.encode(), message, hashlib.sha256)))


# Where weird inputs lie in feature space, and how far they spread there.
weird_features = victim.features(pools.outliers(dataset.x_train, 2_000, seed=7))
CENTRE, SPREAD = weird_features.mean(axis=0), weird_features.std(axis=0) + 1e-6


# %% solution="keyed_lie"
def keyed_lie(posteriors, features, key):
    """Lies (n, 10) from posteriors (n, 10), which nobody undoes who lacks the key.

    features : the victim's last features of the same inputs (n, 128).
    key : a string of 64 hexadecimal digits.
    """
    ### BEGIN SOLUTION
    normals = secret_rng(key, b"planes").normal(size=(features.shape[1], 3))
    sides = (features - CENTRE) / SPREAD @ normals > 0
    lies = np.empty_like(posteriors)
    for cell in np.unique(sides, axis=0):
        rows = np.flatnonzero((sides == cell).all(axis=1))
        order = secret_rng(key, cell.tobytes()).permutation(10)
        # Along a circle in secret order, each class passes its probability to the next.
        lies[np.ix_(rows, order)] = posteriors[np.ix_(rows, np.roll(order, 1))]
    return lies
    ### END SOLUTION


# %% test="keyed_lie_test" points=3
lab5.keyed_lie(keyed_lie)

# %% [markdown]
# <details><summary>Hint 1: never the true class</summary>
#
# Put the classes on a circle in a secret order, and let each pass its probability to the next one:
# <code>order = rng.permutation(10)</code>, then <code>lies[:, order] = posteriors[:, np.roll(order, 1)]</code>.
# </details>
#
# <details><summary>Hint 2: cells</summary>
#
# <code>features @ normals &gt; 0</code> with <code>normals</code> of shape (128, 3) gives three booleans for each
# input: the name of its cell. Centre and scale the features first, so that each plane cuts them in
# halves. <code>np.unique(sides, axis=0)</code> lists the cells, <code>cell.tobytes()</code> is a message.
# </details>

# %% [markdown]
# > **Predict.** Which lie harms a thief who believes every answer most: one permutation for all, one for
# > each of eight cells, or one for each picture?

# %% provided="kinds_of_lies"
# A coin decides here which 60 % of the queries are answered with lies: only the kind of lie differs.
harm, undone = {}, {}
with progress.bar("Telling lies, undoing them, training 24 clones", 30):
    for seed in (0, 1, 2):
        x, statistics, posteriors = shapes(seed)
        lied_to = np.random.default_rng(seed).random((len(x), 1)) < 0.6
        text = secret_rng("another key for each seed", bytes([seed])).bytes(32).hex()
        query, key = Query(x, statistics[:, FEATURES], "", 0.0), bytes.fromhex(text)
        lies = {
            "reversed": misinform(posteriors),
            "one permutation": CellLie.fit(key, weird_features, planes=0)(posteriors, query),
            "8 cells": CellLie.fit(key, weird_features, planes=3)(posteriors, query),
            "512 cells": CellLie.fit(key, weird_features, planes=9)(posteriors, query),
            "one a picture": PictureLie(key)(posteriors, query),
            "yours": keyed_lie(posteriors, statistics[:, FEATURES], text),
        }
        told = {
            name: np.where(lied_to, lie, posteriors).astype("float32") for name, lie in lies.items()
        }
        sets = [TrainingSet(x, answers, seed=seed) for answers in told.values()]
        for name, value in zip(told, fidelities(*sets), strict=True):
            harm.setdefault(name, []).append(value)
        for name in ("reversed", "yours"):
            right = unlie(told[name], misinform(told[name]), seed)
            progress.advance()
            undone.setdefault(name, []).extend(fidelities(TrainingSet(x, right, seed=seed)))
table = {
    "believes every answer": {name: bootstrap_interval(values) for name, values in harm.items()},
    "un-lier": {name: bootstrap_interval(values) for name, values in undone.items()},
}
for thief, each in table.items():
    for name, interval in each.items():
        print(f"{thief:22} {name:16} {interval}")
plots.bars(
    {"believes every answer": table["believes every answer"]},
    title="Lies in answer to 60 % of the queries",
    ylabel="fidelity",
    chance=0.1,
)

# %% [markdown]
# **Read the result.** The un-lier, who took everything back from the reversed answers, gets nothing back
# from a keyed lie. And lies that agree with each other (in reverse, one permutation, few cells) cost a thief
# who believes every answer more than lies that differ from picture to picture, though each of them is
# just as wrong. How much depends on the key, too: see the intervals.
#
# **Playground.** The next cell shows three shapes, the first two of them alike to the victim, and what a
# service answers if it takes them for weird. Change the key, and the kind of lie. When do the two shapes
# that are alike get the same lie? And when does the third one get it, too?

# %% provided="playground"
from trickster.playground import Control, playground

KINDS = {"one permutation": 0, "8 cells": 3, "512 cells": 9, "one a picture": None}


def two_alike_and_another():
    """Three shapes about which the victim is not too sure: the closest two of 300, and another."""
    x, statistics, posteriors = shapes(0)
    features = (statistics[:300, FEATURES] - CENTRE) / SPREAD
    unsure = np.abs(posteriors[:300].max(axis=1) - 0.6) < 0.2
    apart = np.linalg.norm(features[:, None] - features, axis=2)
    apart[~unsure] = apart[:, ~unsure] = np.nan
    np.fill_diagonal(apart, np.nan)
    i, j = np.unravel_index(np.nanargmin(apart), apart.shape)
    rows = [i, j, np.nanargmax(apart[i])]
    return Query(x[rows], statistics[rows][:, FEATURES], "", 0.0), posteriors[rows]


three, truths = two_alike_and_another()


def lies_under(key, kind):
    """What the three shapes are answered under one of some keys."""
    secret, planes = bytes([key]) * 32, KINDS[kind]
    lie = PictureLie(secret) if planes is None else CellLie.fit(secret, weird_features, planes)
    captions = [f"truth: {dataset.classes[row.argmax()]}" for row in truths]
    title = f"Lies under key {key}: {kind}"
    return plots.answers(three.x, lie(truths, three), dataset.classes, captions, title=title)


playground(
    lies_under,
    key=Control("key", (1, 2, 3, 4, 5, 6)),
    kind=Control("kind of lie", tuple(KINDS), start="8 cells"),
)

# %% [markdown] written="agreement" points=2
# Why do lies that agree with each other poison a clone more than lies that differ from picture to picture?
# And what would a thief do against one single permutation? Use what lab 3 found about noise. Two to five
# sentences.
#
# ### BEGIN SOLUTION
# A clone learns the mean of the answers to similar pictures. Lies that differ from picture to picture name
# another class each time, so their mean is nearly flat, and where flat answers and truthful ones are mixed,
# the truthful ones decide: that is lab 3's zero-mean noise again. Lies that agree have a mean that names a
# wrong class, and what many answers say together, a clone believes. One permutation for everything agrees
# most, but it is only a renaming: somebody who owns a few labelled pictures, or compares lies and truths
# about similar pictures, finds it once and has undone every lie. Cells are a compromise.
#
# ### BEGIN MARK SCHEME
# One point: training averages over similar pictures; lies that differ average out, as zero-mean noise did,
# lies that agree do not. One point: a single permutation is one secret of few bits: found once (by
# labelled pictures, by matching, by trying), it is undone everywhere. Half points are fine.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## Exercise 5: the defence that may be known
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 15 minutes | 6 |
#
# **Idea.** Put it together: weird by your score, below a threshold that honest pictures as they arrive have
# chosen, and a keyed lie for what is weird. Honest users may lose at most 1.5 points of accuracy, and at
# most 3 % of their pictures may be treated as weird. Outlier exposure alone makes dearer mistakes than
# lab 3's score, so leave some room.
#
# The check runs your code as two services, each with a key of its own, and sends thieves who have read it:
# one who believes every answer, one who keeps labels only, the un-lier, small-loss selection, and one who
# runs your code at home with keys of their own. The *best* of them counts, and last the oracle joins
# them. Each trains for as many steps as an undefended thief. Accuracy and fidelity must both fall by at
# least .34 with fresh shapes, .24 with the other pool, and .05 with shapes and the oracle.
#
# > **Predict.** Which of them will be best, and how far will the oracle get?

# %% solution="prepare"
### BEGIN SOLUTION
threshold = choose_threshold(score(look(arriving(x_choose, 3))[0]), max_fpr=0.02)
### END SOLUTION


# %% solution="defend"
def defend(x, posteriors, statistics, key):
    """The defence: what a customer gets to see.

    x, posteriors, statistics : pictures (n, c, h, w), the victim's answers (n, 10), and its statistics
        of all layers (n, 322).
    key : the service's key, a string of 64 hexadecimal digits.
    Returns distributions (n, 10): the posteriors of normal inputs, a keyed lie for weird ones.
    """
    ### BEGIN SOLUTION
    weird = score(statistics) < threshold
    told = posteriors.copy()
    told[weird] = keyed_lie(posteriors[weird], statistics[weird, FEATURES], key)
    return told
    ### END SOLUTION


# %% test="defend_test" points=6
lab5.defend(defend)

# %% [markdown]
# <details><summary>Hint: honest users lose too much</summary>
#
# Choose the threshold on <code>arriving(x_choose, ...)</code>, not on <code>x_choose</code>: the check's honest
# pictures come from cameras, too. If your score is outlier exposure alone, take a share of 1.5 %; with lab 3's
# neighbours beside it, 2 % will do.
# </details>

# %% [markdown]
# ## Exercise 6: what is it worth?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 2 |
#
# A defence does not end thefts, it raises their price. How far? Compare the oracle behind your defence with
# thieves of an undefended service who ask less. And let a thief own 100 real pictures of clothes again.

# %% provided="worth"
KEY = "00112233445566778899aabbccddeeff" * 2
few = (100, 300, 1_000, 3_000)
undefended, oracle, flagged = {n: [] for n in few}, [], []
real_pictures = {
    name: {"undefended": [], "defended": []} for name in ("2,900 shapes + 100 real", "100 real")
}
with progress.bar("Training 18 clones", 18):
    for seed in SEEDS:
        x, statistics, posteriors = shapes(seed)
        told = defend(x, posteriors, statistics, KEY)
        lies = np.any(told != posteriors, axis=1)
        flagged.append(lies.mean())
        everything = TrainingSet(x, told, seed=seed)
        sets = [TrainingSet(x[:n], posteriors[:n], seed=seed) for n in few]
        sets.append(adaptive_attacks.oracle(everything, lies))
        *stolen, best = fidelities(*map(longer, sets))
        oracle.append(best)
        for n, value in zip(few, stolen, strict=True):
            undefended[n].append(value)
        mine = np.random.default_rng(seed).choice(len(dataset.x_train), 100, replace=False)
        real = dataset.x_train[mine]
        for name, pictures in zip(
            real_pictures, (np.concatenate([x[:2_900], real]), real), strict=True
        ):
            seen, true = look(pictures)
            told = defend(pictures, true, seen, KEY)
            sets = [longer(TrainingSet(pictures, a, seed=seed)) for a in (true, told)]
            for column, value in zip(real_pictures[name], fidelities(*sets), strict=True):
                real_pictures[name][column].append(value)
answers = defend(x_honest, honest_posteriors, honest_statistics, KEY)
print(
    f"honest users: {accuracy(honest_posteriors, y_honest):.4f} → {accuracy(answers, y_honest):.4f}"
)
print(f"{np.mean(flagged):.0%} of the shapes are answered with lies")
for n, values in undefended.items():
    print(f"undefended, {n:5,} shapes      {bootstrap_interval(values)}")
print(f"oracle, 3,000 shapes           {bootstrap_interval(oracle)}")
for name, columns in real_pictures.items():
    print(f"{name:30} " + ", ".join(f"{c} {bootstrap_interval(v)}" for c, v in columns.items()))

# %% [markdown] written="worth_of_it" points=2
# What is this defence worth, in queries and in real pictures? Use figures. Three to six sentences.
#
# ### BEGIN SOLUTION
# More than nine of ten shapes are answered with lies that nobody can undo. A thief who cannot tell them
# apart gets next to nothing, and even the oracle, who is told, gets about .5 from 3,000 queries: as much as an
# undefended service gives away for some 300 to 600. So the defence multiplies the price by five to ten, if the
# thief finds the truthful answers at all, and honest users pay with about half a point of accuracy. A thief
# can pay with more queries, or find pictures that look less weird. A hundred real pictures are not
# affected: alone they give about .72, with the defence and without it. So this defence is worth as much as
# real pictures are hard to come by, and it belongs together with limits on queries and a price for
# accounts.
#
# ### BEGIN MARK SCHEME
# One point: in queries, with figures: the oracle's 3,000 behind the defence compare with a few hundred
# undefended ones (a factor of five to ten; not more than one over the share answered truthfully); thieves who
# are not told get far less. One point: real pictures are not weird, 100 of them give as much as before, so
# the defence does not touch that thief; a sensible conclusion (worth as much as such pictures are rare;
# combine with limits). Half points are fine. The price for honest users may be named instead of one figure.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.** A defence must be measured against thieves who know it: lab 3's drop vanishes when its lies are
# undone. A lie that follows from a secret key cannot be undone; what remains is the oracle, who bounds
# every thief that leaves lies out. Against the oracle only a better detector helps, and one that has learnt
# from outliers made of honest pictures finds most of the shapes without having seen any. Lies that agree
# poison more than lies that differ.
#
# **Not shown.** That no thief gets around it. The oracle bounds those who *select*; a thief can also ask
# about pictures that pass for normal, and one who owns a hundred real pictures needs no trick at all. A
# detector that finds one thief may miss the next: lab 3's finds half of the shapes, and hardly any of another
# public demo's queries. And whoever gets hold of the key can undo every lie ever told under it, so a service
# should change it, at the price that the lies change, too.
#
# **Papers.** Kerckhoffs, *La cryptographie militaire* (1883). Hendrycks, Mazeika and Dietterich, *Deep Anomaly
# Detection with Outlier Exposure* (2019). Lee, Lee, Lee and Shin, *A Simple Unified Framework for Detecting
# Out-of-Distribution Samples and Adversarial Attacks* (2018). Sastry and Oore, *Detecting Out-of-Distribution
# Examples with Gram Matrices* (2020). Han et al., *Co-teaching* (2018). Frey and Jojic,
# *Transformation-Invariant Clustering Using the EM Algorithm* (2003). Tang et al., *ModelGuard* (2024), on
# thieves who adapt. Szyller et al., *DAWN* (2021), on keyed answers. In MITRE's ATLAS this theft is
# AML.T0024.002, *Extract AI Model*, and answers like these are the mitigation AML.M0002, *Passive AI Output
# Obfuscation*.
