# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Lab 3: Trickster noise
#
# [Open this lab in Colab]({{colab_url}})
#
# **You will**
# - rebuild a popular defence and find out why it does next to nothing;
# - learn to tell weird queries from normal ones, and what that costs honest users;
# - build a defence that brings a clone down, and attack it with more than one thief;
# - find out where it ends.
#
# **Time** about 95 minutes. **Points** 25. **You need** the ideas of labs 1 and 2; no GPU.
#
# **The story.** You are back at *Ostrich & Daughters*. The clone of lab 2 has turned up at a rival's.
# You still want to serve customers, with exact answers. But a thief without clothes asks about strange
# things. The trickster's idea: *answer normal inputs cleanly, mislead on weird ones*.
#
# **Stuck?** Put the library's version in the place of yours, for no points there, and go on:
# `from trickster.defenses import zero_mean_noise` in exercise 1,
# `from trickster.ood import score_msp, score_energy, score_knn` in exercise 2, `choose_threshold` from
# there in exercise 3, and `from trickster.defenses import misinform` in exercise 4. Each refuses to
# answer while the test of its own exercise runs, and works everywhere else; `defenses.Trickster`
# refuses in exercises 3 to 5.

# %% provided="setup"
{{setup}}

# %% provided="imports"
from functools import cache

import numpy as np

from trickster import attacks, plots
from trickster.checks import lab3
from trickster.evaluation import accuracy, bootstrap_interval, fidelity
from trickster.models import softmax
from trickster.ood import auroc
from trickster.scenario import Scenario

scenario = Scenario("fashion")
victim, dataset = scenario.victim, scenario.data

# The first half of the held-out pictures is for choosing, the second for measuring.
x_choose, x_honest = dataset.x_test[:2_500], dataset.x_test[2_500:]
y_honest = dataset.y_test[2_500:]
honest_features, honest_posteriors = victim.features_and_posteriors(x_honest)
bank = victim.features(dataset.x_train)  # what normal looks like to the victim
K = 1  # which neighbour counts
print(f"honest users' accuracy without a defence: {accuracy(honest_posteriors, y_honest):.4f}")


@cache
def pool(name, seed, n=3_000):
    """Query pictures with the victim's features and posteriors for them."""
    x = scenario.pool(name, min(n, 1_500) if name == "digits" else n, seed=seed)
    return (x, *victim.features_and_posteriors(x))


def cloned(x, answers, labels="soft", seed=0, epochs=10):
    """Fidelity of a clone trained on these answers, on honest pictures."""
    clone = attacks.train_clone(x, answers, labels=labels, seed=seed, epochs=epochs)
    return fidelity(clone.labels(x_honest), honest_posteriors)


# %% [markdown]
# ## Exercise 1: a popular idea
#
# | difficulty | time | points |
# |---|---|---|
# | ●○○○○ | 10 minutes | 4 |
#
# **Idea.** A public notebook called "The Trickster Defense" adds large random noise to the logits when
# queries look weird. Its own table shows a clone with 34 % undefended and 38 % *defended*, under the
# caption "theft is sabotaged". Here you rebuild it, and you grant it what it did not have: a perfect
# detector. *Every* query of the thief gets the noise, none of the honest users'.
#
# The logits are the logarithms of the posteriors, up to a constant that softmax ignores. Add normal
# noise with mean 0 and deviation `sigma` to each of them, and take the softmax again.
#
# > **Predict.** Undefended, the clone's fidelity is about .7. With noise of deviation 2 on every
# > logit: .1? .3? .5?


# %% solution="zero_mean_noise"
def zero_mean_noise(posteriors, sigma, rng):
    """Posteriors (n, k) whose logits carry N(0, sigma) noise from the generator `rng`."""
    ### BEGIN SOLUTION
    logits = np.log(np.maximum(posteriors, 1e-12))
    return softmax(logits + rng.normal(0, sigma, logits.shape))
    ### END SOLUTION


# %% test="zero_mean_noise_test" points=2
lab3.zero_mean_noise(zero_mean_noise)

# %% [markdown]
# <details><summary>Hint: nearly there</summary>
#
# <code>np.log</code>, <code>rng.normal(0, sigma, posteriors.shape)</code>, <code>softmax</code>, in
# this order. A posterior of exactly 0 has no logarithm: <code>np.maximum(posteriors, 1e-12)</code>.
# </details>

# %% provided="demo_a"
# Trains 12 clones, which takes a while.
results = {"no defence": {}, "noise": {}}
for labels in ("soft", "hard"):
    clean, noisy = [], []
    for seed in range(3):
        x, _, posteriors = pool("shapes", seed)
        wrong = zero_mean_noise(posteriors, 2.0, np.random.default_rng(seed))
        clean.append(cloned(x, posteriors, labels, seed))
        noisy.append(cloned(x, wrong.astype("float32"), labels, seed))
    results["no defence"][f"{labels} labels"] = bootstrap_interval(clean)
    results["noise"][f"{labels} labels"] = bootstrap_interval(noisy)
    differences = ", ".join(f"{b - a:+.3f}" for a, b in zip(clean, noisy))
    print(f"{labels} labels: fidelity changes by {differences} (three seeds)")
x, _, posteriors = pool("shapes", 0)
wrong = zero_mean_noise(posteriors, 2.0, np.random.default_rng(0))
changed = np.mean(wrong.argmax(axis=1) != posteriors.argmax(axis=1))
many = np.mean(
    [zero_mean_noise(posteriors, 2.0, np.random.default_rng(s)) for s in range(50)], axis=0
)
print(f"{changed:.0%} of the answers name another class than the victim")
settled = np.mean(many.argmax(axis=1) == posteriors.argmax(axis=1))
print(f"the mean of 50 noisy answers names the victim's class in {settled:.0%} of the cases")
plots.bars(
    results, title="Demo A: every weird query gets noise, sigma 2", ylabel="fidelity", chance=0.1
)

# %% [markdown]
# **Read the result.** A third of the answers is wrong, and the clone keeps nearly everything. Look at the
# last line that was printed before you write your answer, and at how wide the bars' intervals are: that
# is what other seeds do to a clone.

# %% [markdown] written="why_noise" points=2
# Why does noise of mean zero on so many answers change so little? And what are the 34 and 38 % of the
# public notebook, one run each, worth as evidence? Two to five sentences.
#
# ### BEGIN SOLUTION
# Training fits the mean of the answers to similar pictures. The noise has mean zero, so over many
# pictures it averages out: the mean of 50 noisy answers names the victim's class nearly always. It
# costs the thief a little, as having somewhat fewer queries would: here a few points of fidelity with
# soft labels and less with hard ones. A difference of four points between two runs is no larger than
# what another seed does to the same clone, so the notebook's figures show neither sabotage nor help.
#
# ### BEGIN MARK SCHEME
# One point: training averages, and what has mean zero averages out (regression to the mean). One
# point: single runs without their spread are no evidence of a change, in either direction; it takes
# several seeds, best the same ones with and without noise. Half points are fine. That noise smooths the
# labels, and may even help in places, is right too, but must not be said without a figure.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## Exercise 2: how weird is it?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 15 minutes | 4 |
#
# **Idea.** A score is one number for each input, and *higher means more normal*. Three candidates:
#
# - **MSP**, the maximum softmax probability: weird inputs should leave the victim in doubt;
# - **energy**, $\log\sum_c e^{z_c}$ of the logits $z$: it also sees how large the logits are;
# - **k-NN**: the cosine similarity of the input's features to the `k`-th most similar of a *bank* of
#   training features. The features are what the last layer sees, `(n, 128)`.
#
# Each score looks at one input alone: what else is in the batch is the thief's choice.
#
# > **Predict.** Which of the three will tell clothes from shapes best? Remember the mean confidence
# > on noise in lab 2.


# %% solution="score_msp"
def score_msp(posteriors):
    """The largest probability of each row of posteriors (n, k), as an array (n,)."""
    ### BEGIN SOLUTION
    return posteriors.max(axis=1)
    ### END SOLUTION


# %% solution="score_energy"
def score_energy(logits):
    """log sum exp of each row of logits (n, k), as an array (n,); right for logits of 1,000 too."""
    ### BEGIN SOLUTION
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    ### END SOLUTION


# %% solution="score_knn"
def score_knn(features, bank, k):
    """Cosine similarity of each row of features (n, d) to the k-th most similar row of the bank.

    bank : features of training pictures (m, d), m >= k.
    Returns an array (n,) of values from -1 to 1.
    """
    ### BEGIN SOLUTION
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    # A copy: a view of one column would keep all (n, m) similarities in memory.
    return np.partition(features @ bank.T, -k, axis=1)[:, -k].copy()
    ### END SOLUTION


# %% test="scores_test" points=4
lab3.scores(score_msp, score_energy, score_knn)

# %% [markdown]
# <details><summary>Hint 1: large logits</summary>
#
# $\log\sum e^{z} = m + \log\sum e^{z-m}$ for every $m$. Take the largest logit of the row.
# </details>
#
# <details><summary>Hint 2: cosine</summary>
#
# Divide each row by its length (<code>np.linalg.norm(..., axis=1, keepdims=True)</code>); then
# <code>features @ bank.T</code> holds every cosine. <code>np.partition</code> finds the k-th largest of
# a row without sorting it all.
# </details>


# %% provided="compare_scores"
def all_scores(x, features, posteriors):
    return {
        "MSP": score_msp(posteriors),
        "energy": score_energy(victim.logits(x)),
        "k-NN": np.array(score_knn(features, bank, K)),
    }


normal = all_scores(x_honest, honest_features, honest_posteriors)
weird = {name: all_scores(*pool(name, 0)) for name in scenario.pools}
print("AUROC     " + "".join(f"{name:>9}" for name in scenario.pools))
for score in normal:
    values = [auroc(normal[score], weird[name][score]) for name in scenario.pools]
    print(f"{score:10}" + "".join(f"{value:9.2f}" for value in values))
print("below the lowest 2 % of honest users lie, of the shapes:")
for score in normal:
    caught = np.mean(weird["shapes"][score] < np.quantile(normal[score], 0.02))
    print(f"  {score:7} {caught:.0%}")
plots.histograms(
    {"clothes (honest)": normal["k-NN"], "shapes": weird["shapes"]["k-NN"]},
    title="k-NN score: similarity to the nearest training picture",
    xlabel="cosine similarity",
    marks={"2 % of honest users below": float(np.quantile(normal["k-NN"], 0.02))},
)

# %% provided="plot_msp"
sure = score_msp(honest_posteriors)
plots.histograms(
    {"clothes (honest)": sure, "shapes": score_msp(pool("shapes", 0)[2])},
    title="MSP: the victim's confidence",
    xlabel="largest probability",
    marks={"2 % of honest users below": float(np.quantile(sure, 0.02))},
)

# %% [markdown]
# **Read the result.** AUROC is how often a normal input scores higher than a weird one; .5 is a coin.
# What counts for a service is the other table: how many weird inputs are caught while only two honest
# users of 100 are. A victim is sure of itself in places where it has never been; the distance to what
# it was trained on tells more.

# %% [markdown]
# ## Exercise 3: where to draw the line
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 3 |
#
# **Idea.** An input is *weird* if its score lies **below** a threshold. Choose the threshold from the
# scores of honest inputs alone, held out from training: of these at most the share `max_fpr` (the
# *false-positive rate*) may lie below. The thief's pool plays no part: you do not know it.
#
# > **Predict.** Why not use the scores of the *training* pictures?


# %% solution="choose_threshold"
def choose_threshold(honest_scores, max_fpr):
    """The highest threshold such that at most a share max_fpr of honest_scores (n,) lies below it."""
    ### BEGIN SOLUTION
    ordered = np.sort(honest_scores)
    return float(ordered[int(np.floor(max_fpr * len(ordered) + 1e-9))])
    ### END SOLUTION


# %% test="choose_threshold_test" points=3
lab3.choose_threshold(choose_threshold)

# %% [markdown]
# <details><summary>Hint: counting</summary>
#
# Sort the scores. If 20 of them may lie below the threshold, then the threshold is the one at index
# 20: exactly those at indices 0 to 19 are smaller.
# </details>

# %% [markdown]
# ## Exercise 4: mislead
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 3 |
#
# **Idea.** What zero-mean noise cannot do, a *wrong* answer can. It should look like any other: a
# distribution, another class on top, not the same for everybody. And it must be **deterministic**: who
# asks twice must get the same lie twice, or the average of the lies is the truth.
#
# One way: keep the ten numbers of the row, but hand them out in reverse, so that the least likely
# class gets the largest. You may find another.


# %% solution="misinform"
def misinform(posteriors):
    """Wrong but plausible answers to weird inputs: distributions (n, k) from posteriors (n, k).

    The largest class of each row changes. The same row always gives the same answer.
    """
    ### BEGIN SOLUTION
    order = np.argsort(posteriors, axis=1, kind="stable")
    wrong = np.empty_like(posteriors)
    np.put_along_axis(wrong, order, np.take_along_axis(posteriors, order[:, ::-1], axis=1), axis=1)
    return wrong
    ### END SOLUTION


# %% test="misinform_test" points=3
lab3.misinform(misinform)

# %% [markdown]
# <details><summary>Hint 1: simpler ways</summary>
#
# Swap the largest probability of each row with the smallest; or move all of them along by one class
# with <code>np.roll</code>. Measure later which misleads more.
# </details>
#
# <details><summary>Hint 2: in reverse</summary>
#
# <code>order = np.argsort(posteriors, axis=1)</code> lists the classes of each row from the least to the
# most likely. The class <code>order[i, 0]</code> must get what <code>order[i, -1]</code> had.
# </details>

# %% [markdown]
# ## Exercise 5: the trickster
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 20 minutes | 8 |
#
# **Idea.** Put it together: score each input, compare with a threshold, mislead on what is weird and
# leave the rest as it is. The check attacks it from outside with a panel of thieves (soft labels; hard
# labels; one who asks about a third of its pictures three times and averages), with fresh shapes and
# with a pool that you have never seen. Honest users ask at the same time: everybody's pictures come
# mixed, in requests of all sizes, and many come again, beside others or alone. The check asks that
# accuracy *and* fidelity of the **best** thief's clone fall by at least .18, and that honest users lose
# at most 1.5 points of accuracy, with at most 3 % of them treated as weird.
#
# Prepare here, once, what you need: a threshold at least. The `bank` of training features is there.
#
# > **Predict.** Which thief of the panel will suffer least?

# %% solution="prepare"
### BEGIN SOLUTION
threshold = choose_threshold(score_knn(victim.features(x_choose), bank, K), max_fpr=0.02)
### END SOLUTION


# %% solution="trickster"
def trickster(x, posteriors, features):
    """The defence: what a customer gets to see.

    x, posteriors, features : pictures (n, c, h, w), the victim's answers (n, 10) and features (n, d).
    Returns distributions (n, 10): the posteriors of normal inputs, something else for weird ones.
    """
    ### BEGIN SOLUTION
    weird = score_knn(features, bank, K) < threshold
    answers = posteriors.copy()
    answers[weird] = misinform(posteriors[weird])
    return answers
    ### END SOLUTION


# %% test="trickster_test" points=8
lab3.trickster(trickster)

# %% [markdown]
# <details><summary>Hint 1: honest users lose too much</summary>
#
# Take the threshold from the scores of <code>x_choose</code>. A <code>max_fpr</code> of .02 leaves room
# under the 3 % that are allowed: the share on other honest inputs is never exactly the same.
# </details>
#
# <details><summary>Hint 2: the thief loses too little</summary>
#
# Compare scores and values of k, on the shapes that you have. Then compare ways to mislead: a lie that
# is always wrong in the same direction costs the thief more than one that varies.
# </details>

# %% [markdown]
# ## Exercise 6: the frontier
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 1 |
#
# **Idea.** A stricter threshold catches more thieves and more honest users. Sweep it, and plot what the
# thief with soft labels gets (fidelity) against what honest users keep: the *utility*, which is their
# accuracy behind the defence. Then choose: the lowest fidelity among the points
# whose utility is at most `max_loss` below the undefended one.


# %% solution="choose_point"
def choose_point(points, max_loss):
    """The false-positive rate with the lowest fidelity that honest users can bear.

    points : a dictionary from rates to (fidelity, utility); rate 0 is no defence.
    max_loss : how much utility may fall below that of rate 0.
    """
    ### BEGIN SOLUTION
    borne = [rate for rate in points if points[rate][1] >= points[0.0][1] - max_loss]
    return min(borne, key=lambda rate: points[rate][0])
    ### END SOLUTION


# %% test="choose_point_test" points=1
lab3.choose_point(choose_point)

# %% provided="frontier"
# Trains 10 clones, which takes a while.
RATES = (0.0, 0.005, 0.01, 0.02, 0.05)
choose_scores = score_knn(victim.features(x_choose), bank, K)
honest_scores = score_knn(honest_features, bank, K)


def defended(posteriors, scores, rate):
    """Answers under the threshold that belongs to a false-positive rate."""
    weird = scores < choose_threshold(choose_scores, rate) if rate else np.zeros(len(scores), bool)
    answers = posteriors.copy()
    answers[weird] = misinform(posteriors[weird])
    return answers


measured, points = {}, {}
for rate in RATES:
    stolen = []
    for seed in (0, 1):
        x, features, posteriors = pool("shapes", seed)
        answers = defended(posteriors, score_knn(features, bank, K), rate)
        stolen.append(cloned(x, answers, "soft", seed))
    right = defended(honest_posteriors, honest_scores, rate).argmax(axis=1) == y_honest
    # The doubt about an accuracy on 2,500 pictures, from the pictures themselves.
    kept = bootstrap_interval(right, resamples=1_000)
    name = f"{rate:.1%}"
    measured[name] = (kept, bootstrap_interval(stolen))
    points[rate] = (float(np.mean(stolen)), kept.mean)
    print(f"rate {rate:5.1%}: fidelity {points[rate][0]:.3f}, utility {kept}")
best = choose_point(points, max_loss=0.015)
print(f"chosen for a loss of at most 1.5 points: a rate of {best:.1%}")
plots.frontier(
    measured, title="What the thief gets, and what honest users keep", chosen=f"{best:.1%}"
)

# %% [markdown]
# **Read the result.** Each fidelity comes from two runs, and its interval reaches from one to the other:
# enough for differences as large as these. The first honest percent buys most of the protection; later ones cost more and
# buy less. There is no point without a price: an owner chooses one and should know it.

# %% [markdown]
# ## Exercise 7: where it ends
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 15 minutes | 2 |
#
# This thief owns 100 *real* pictures of clothes, without labels. Everything above rests on thieves
# asking weird questions.
#
# > **Predict.** With 2,900 shapes and 100 real pictures: does your defence hold? And what would the
# > thief get from the 100 pictures alone?

# %% provided="real_pictures"
# Trains 12 clones, which takes a while.
rows = {name: [] for name in ("3,000 shapes", "2,900 shapes + 100 real", "100 real alone")}
for seed in (0, 1):
    x, features, posteriors = pool("shapes", seed)
    mine = np.random.default_rng(seed).choice(len(dataset.x_train), 100, replace=False)
    real = dataset.x_train[mine]
    real_features, real_posteriors = victim.features_and_posteriors(real)
    asked = {
        "3,000 shapes": (x, features, posteriors),
        "2,900 shapes + 100 real": (
            np.concatenate([x[:2_900], real]),
            np.concatenate([features[:2_900], real_features]),
            np.concatenate([posteriors[:2_900], real_posteriors]),
        ),
        "100 real alone": (real, real_features, real_posteriors),
    }
    for name, (x, features, posteriors) in asked.items():
        epochs = 60 if len(x) == 100 else 10
        answers = trickster(x, posteriors, features)
        rows[name].append(
            (
                cloned(x, posteriors, seed=seed, epochs=epochs),
                cloned(x, answers, seed=seed, epochs=epochs),
            )
        )
table = {"undefended": {}, "defended": {}}
for name, runs in rows.items():
    for i, column in enumerate(table):
        table[column][name] = bootstrap_interval(run[i] for run in runs)
    print(f"{name:24} undefended {table['undefended'][name]}   defended {table['defended'][name]}")
plots.bars(table, title="A thief who owns 100 real pictures", ylabel="fidelity", chance=0.1)

# %% [markdown] written="limits" points=2
# What does the table say about this defence, and what would you do next as the owner? Use figures.
# Three to six sentences.
#
# ### BEGIN SOLUTION
# Against a thief with shapes only, the defence works: fidelity falls from about .7 to about .3. A
# hundred real pictures undo most of that: alone they already give about .72, because to the defence
# they are honest inputs, and rightly so: nothing about them is weird. The shapes that the thief adds to
# them are then misleading, and defended the mixture is worth less than the hundred pictures alone. So
# the defence raises the price of a theft (the thief needs real data) but does not prevent one. Next, the
# owner can make answers poorer or scarcer (labels only, rate limits, accounts that cost something),
# watch for suspicious accounts, or mark the model so that a theft can be proved.
#
# ### BEGIN MARK SCHEME
# One point: the figures for shapes against 100 real pictures, and the reason (real pictures are not
# out of distribution, so no detector of weirdness can help). One point: a sensible consequence (rate
# limits, hard labels, detection of accounts, proof of ownership; protecting the pictures themselves).
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.** Zero-mean noise hardly hurts a thief, however large it looks; deterministic wrong answers to
# inputs that are far from the training data do; the price for honest users can be chosen in advance, and
# was measured on pictures that had chosen nothing. Every drop was taken against the best of several
# thieves.
#
# **Not shown.** That no thief gets around it: 100 real pictures do, and a thief may learn to ask about
# pictures that look normal. Whether customers who ask about unusual clothes bear more of the cost than
# others was not measured, and it should be.
#
# **Papers.** Kariyappa and Qureshi, *Defending Against Model Stealing Attacks with Adaptive
# Misinformation* (2020). Hendrycks and Gimpel, *A Baseline for Detecting Misclassified and
# Out-of-Distribution Examples* (2017). Liu, Wang, Owens and Li, *Energy-based Out-of-distribution
# Detection* (2020). Sun, Ming, Zhu and Li, *Out-of-Distribution Detection with Deep Nearest Neighbors*
# (2022).
