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
# - rebuild a popular defence, random noise on the answers, and measure what it does to a thief;
# - score how unusual a query is, and choose a threshold that costs honest users little;
# - build a defence that misleads thieves, and measure what it takes from several of them;
# - attack it yourself, and find the thieves that it does not stop.
#
# **Time** about 110 minutes. **Points** 25. **You need** the ideas of labs 1 and 2, but not your code; no
# GPU.
#
# **The story.** The clone you made in lab 2 has turned up, and now you change sides again: you work for
# *Ostrich & Daughters*, and still want to give honest customers exact answers. But a thief who owns no
# pictures of clothes has to ask about something else, such as random shapes. That suggests a defence: *tell
# the truth about normal queries, and mislead anyone who sends strange ones*.
#
# In [MITRE ATLAS](https://atlas.mitre.org), the catalogue of lab 1, the theft is called *Extract AI Model*
# (AML.T0024.002), and a defence that changes the answers is *Passive AI Output Obfuscation* (AML.M0002).
#
# **Your numbers** may differ from those in the folds in the third decimal, and sometimes in the second: another
# processor trains slightly different clones. Trust yours, and ask whether the conclusion still holds.
#
# **Predict, run, explain.** Before most experiments you are asked to predict the result. Write your guess
# into the small cell below the question, run the experiment, and explain the difference to yourself before
# you open the fold with the result. Nobody grades a guess, but run that cell even if you have none: later cells print
# it.

# %% [markdown]
# **If you are stuck**, use the library's function in place of yours and go on; you get no points for that
# exercise. Run these lines in a cell *after* your own, so that they replace what you wrote. While the check of
# an exercise runs, the library's version refuses to work; everywhere else you can use it.
#
# <details><summary>The library's functions</summary>
#
# ```python
# # Exercise 1
# from trickster.defenses import zero_mean_noise
#
# # Exercise 2
# from trickster.ood import score_energy, score_knn, score_msp
#
# # Exercise 3
# from trickster.ood import choose_threshold
#
# # Exercise 4
# from trickster.defenses import misinform
#
# # Exercise 5: it reverses the answers, so take the library's misinform as well
# from trickster.api import Query
# from trickster.defenses import Trickster
#
# library = Trickster.from_features(bank, victim.features(x_choose))
#
# def trickster(x, posteriors, features):
#     return library(posteriors, Query(x, features, key="", now=0.0))
# ```
#
# Exercise 6: nothing later uses it (exercise 7 leaves out its row).
# </details>
#
# Exercise 6 has no library version. The best of the simple attacks earns about half of its points; the rest takes
# ideas of your own.

# %% provided="setup"
{{setup}}

# %% provided="imports"
# Loading the library takes a few seconds. Then there is a bar.
from functools import cache
from itertools import pairwise

import numpy as np

from trickster import adaptive_attacks, attacks, plots, progress
from trickster.checks import lab3
from trickster.evaluation import accuracy, bootstrap_interval, fidelity
from trickster.models import softmax
from trickster.ood import auroc
from trickster.scenario import Scenario
from trickster.training import same_steps

scenario = Scenario("{{scenario}}")
victim, dataset = scenario.victim, scenario.data

# One half of the held-out pictures is for choosing a threshold, the other for measuring.
half = len(dataset.x_test) // 2
x_choose, x_honest = dataset.x_test[:half], dataset.x_test[half:]
y_honest = dataset.y_test[half:]
with progress.bar("Showing pictures to the victim", half + 12_000):
    honest_features, honest_posteriors = victim.features_and_posteriors(x_honest)
    progress.advance(half)
    bank = victim.features(dataset.x_train[:12_000])  # of normal pictures, to compare with
K = 1  # compare with the nearest of them


def locked(*arrays):
    """The arrays, which nobody can write into from now on: later cells use them again."""
    for array in arrays:
        array.flags.writeable = False
    return arrays


locked(bank, honest_features, honest_posteriors)
print(f"honest users' accuracy without a defence: {accuracy(honest_posteriors, y_honest):.4f}")


@cache
def pool(name, seed, n=3_000):
    """Query pictures with the victim's features and posteriors for them: read-only."""
    x = scenario.pool(name, min(n, 1_500) if name == "digits" else n, seed=seed)
    return locked(x, *victim.features_and_posteriors(x))


def theft(x, answers, labels="soft", seed=0):
    """What a clone is trained on: pictures, and the answers that the thief got.

    With few answers, the clone trains for more epochs: it makes as many steps as one with 3,000 answers.
    """
    answers, epochs = np.asarray(answers, dtype=np.float32), same_steps(len(x))
    return attacks.TrainingSet(x, answers, labels, epochs=epochs, seed=seed)


def fidelities(thefts):
    """Train a clone for each theft; the fidelity of each clone on honest pictures."""
    clones = attacks.train_clones(thefts)
    return np.array([fidelity(clone.labels(x_honest), honest_posteriors) for clone in clones])


def runs(values):
    """The mean, and every run: with two seeds an interval would show no more than that."""
    return f"{np.mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})"


# %% [markdown]
# ## Exercise 1: a popular idea
#
# | difficulty | time | points |
# |---|---|---|
# | ●○○○○ | 10 minutes | 2 + 2 |
#
# **Idea.** A public notebook called "The Trickster Defense" adds large random noise to the logits of queries that look
# strange. Its own table shows a clone with an accuracy of 34 % undefended and 38 % *defended*, one run each, under the
# caption "theft is sabotaged". (Its author is not named here: the mistake is a common one, and the claim rests on these
# two numbers alone.) You will rebuild the noise and give it better conditions than the notebook had: here *every* query
# of the thief gets noise, and no query of an honest user does, as if a perfect detector told them apart.
#
# The logits are the logarithms of the posteriors, up to a constant that softmax ignores. Add normal
# noise with mean 0 and standard deviation `sigma` to each of them, and take the softmax again.


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
# Use <code>np.log</code>, then <code>rng.normal(0, sigma, posteriors.shape)</code>, then
# <code>softmax</code>. The logarithm of 0 is not finite, so take
# <code>np.maximum(posteriors, 1e-12)</code> first.
# </details>
#
# > **Predict.** Noise of standard deviation 2 makes a third of the answers name another class than the
# > victim does. Undefended, the clone of a thief with soft labels reaches a fidelity of about .68. What
# > is left of it when every answer is noisy?

# %%
my_fidelity = "no guess yet"  # for example 0.3

# %% provided="demo_a"
# Trains 16 clones: about ten seconds.
differences, noisy_by_seed = {}, {}
with progress.bar("Training 16 clones", 16):
    for labels in ("soft", "hard"):
        clean, noisy = [], []
        for seed in range(4):
            x, _, posteriors = pool("shapes", seed)
            wrong = zero_mean_noise(posteriors, 2.0, np.random.default_rng(seed))
            clean.append(theft(x, posteriors, labels, seed))
            noisy.append(theft(x, wrong, labels, seed))
        clean, noisy = fidelities(clean), fidelities(noisy)
        differences[f"{labels} labels"], noisy_by_seed[labels] = clean - noisy, noisy
        print(
            f"{labels} labels: fidelity {clean.mean():.3f} undefended, {noisy.mean():.3f} with noise"
        )
        print("  seed by seed:", ", ".join(f"{a:.3f} to {b:.3f}" for a, b in zip(clean, noisy)))
        print("  difference:  ", ", ".join(f"{a - b:.3f}" for a, b in zip(clean, noisy)))
print(f"Your guess: {my_fidelity}. Measured: {noisy_by_seed['soft'].mean():.3f}.")
x, _, posteriors = pool("shapes", 0)
wrong = zero_mean_noise(posteriors, 2.0, np.random.default_rng(0))
changed = np.mean(wrong.argmax(axis=1) != posteriors.argmax(axis=1))
many = np.mean(
    [zero_mean_noise(posteriors, 2.0, np.random.default_rng(s)) for s in range(50)], axis=0
)
print(f"{changed:.0%} of the noisy answers name another class than the victim does")
settled = np.mean(many.argmax(axis=1) == posteriors.argmax(axis=1))
print(f"the mean of 50 noisy answers names the victim's class in {settled:.0%} of the cases")
plots.dots(
    differences,
    title="What noise of sigma 2 on every answer takes from the thief",
    xlabel="fidelity lost (a dot for each seed, a line at the mean)",
    marks={"nothing": 0.0},
)

# %% [markdown]
# <details><summary><b>Read the result</b></summary>
#
# A third of the answers are wrong, and yet the thief with soft labels falls only from .677 to .634, and the one with
# hard labels from .628 to .610.
#
# Is the small difference chance? The two clones of a seed share their pictures and their starting weights, so compare
# them seed by seed. With each of the four seeds the noisy clone is worse, by .018 to .080 with soft labels and by .004
# to .044 with hard ones. The two kinds share their pictures and their noise, so these are four pairs, not eight. Noise
# *of this size* probably takes something, but little. (Louder noise was not tried.)
#
# </details>

# %% [markdown]
# ## Exercise 1b: explain it
#
# The last line that was printed is a clue.

# %% [markdown] written="why_noise" points=2
# Why does noise of mean zero on so many answers change so little? And what are the 34 and 38 % of the
# public notebook, one run each, worth as evidence? Three to six sentences.
#
# ### BEGIN SOLUTION
# A network that is trained on noisy answers learns their mean over similar pictures. The noise has mean zero,
# so over many pictures it averages out: the mean of 50 noisy answers names the victim's class in 94 % of the
# cases. Not exactly: the mean of the noisy *probabilities* is flatter than the true answer, though nearly
# always with the same class on top. So noise costs little: soft labels fall from .677 to .634, hard ones from
# .628 to .610. The notebook's two numbers are four points apart, but another seed alone changes an undefended
# clone by more than that (here between .653 and .729). So one run of each shows neither that the noise helped
# nor that it hurt.
#
# ### BEGIN MARK SCHEME
# One point: training averages, and what has mean zero averages out (a network trained with cross-entropy fits
# the conditional mean of its targets); that the mean is a little flatter need not be said. One
# point: single runs without their spread are no evidence of a change, in either direction; it takes
# several seeds, best the same ones with and without noise. Half points are fine. That noise smooths the
# labels, and may even help in places, is right too, but must not be said without a number.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## Exercise 2: how strange is a query?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 15 minutes | 4 |
#
# **Idea.** An input that is unlike the training data is *out of distribution*; this course calls it
# *weird* for short. To find weird inputs, give each input a score: one number, and *higher means more
# normal*. Three scores are common:
#
# - **MSP**, the maximum softmax probability. Perhaps the victim is less confident about weird inputs.
# - **Energy**, $\log\sum_c e^{z_c}$ of the logits $z$. Softmax looks only at the differences between logits; the
#   energy also sees how large they are. (Liu et al. 2020 call its negative the energy; here the sign is dropped, so
#   that higher means more normal.)
# - **k-NN**, the cosine similarity between the features of the input and those of its `k`-th most similar
#   training picture. The features are the inputs of the victim's last layer, one row of 128 numbers for
#   each picture. The training features are called the *bank*. Here `k` is 1, the nearest picture (`K` in the cell with
#   the imports).
#
# A score must look at one input alone. It must not depend on the rest of the batch, because the thief
# decides what else is in there.


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
# $\log\sum e^{z} = m + \log\sum e^{z-m}$ for every number $m$. Let $m$ be the largest logit of the row.
# </details>
#
# <details><summary>Hint 2: cosine</summary>
#
# Divide each row by its length, <code>np.linalg.norm(..., axis=1, keepdims=True)</code>. Then
# <code>features @ bank.T</code> holds every cosine. <code>np.partition</code> finds the k-th largest of
# a row without sorting all of it.
# </details>
#
# The next cell compares the scores in two ways. *AUROC* is the probability that a random normal input scores
# higher than a random weird one; .5 is a coin toss. For a service another number matters more: if you accept
# that 2 % of honest users are flagged, how many of the thief's queries do you catch? As in everything that
# follows, one half of the held-out pictures decides where the lowest 2 % end, and everybody else is compared
# with that.
#
# > **Predict.** Which of the three scores separates clothes from shapes best? Remember how confident the
# > victim was about pure noise in lab 2.

# %%
my_score = "no guess yet"  # "MSP", "energy" or "k-NN"


# %% provided="compare_scores"
def all_scores(x, features, posteriors):
    scores = {
        "MSP": np.array(score_msp(posteriors)),
        "energy": np.array(score_energy(victim.logits(x))),
        "k-NN": np.array(score_knn(features, bank, K)),
    }
    progress.advance()
    return scores


sets = 2 + len(scenario.pools)
with progress.bar(f"Scoring {sets} sets of pictures", sets):
    normal = all_scores(x_honest, honest_features, honest_posteriors)
    chosen = all_scores(x_choose, *victim.features_and_posteriors(x_choose))
    weird = {name: all_scores(*pool(name, 0)) for name in scenario.pools}
lowest = {score: float(np.quantile(chosen[score], 0.02)) for score in chosen}
print("AUROC     " + "".join(f"{name:>9}" for name in scenario.pools))
for score in normal:
    values = [auroc(normal[score], weird[name][score]) for name in scenario.pools]
    print(f"{score:10}" + "".join(f"{value:9.2f}" for value in values))
print("share of the shapes below the threshold that flags 2 % of held-out pictures:")
caught = {score: np.mean(weird["shapes"][score] < lowest[score]) for score in lowest}
for score in normal:
    print(f"  {score:7} {caught[score]:.0%}")
print(f"Your guess: {my_score}. Measured: {max(caught, key=caught.get)}.")
plots.histograms(
    {"clothes (honest)": normal["k-NN"], "shapes": weird["shapes"]["k-NN"]},
    title="k-NN score: similarity to the nearest training picture",
    xlabel="cosine similarity",
    marks={"2 % of held-out pictures below": lowest["k-NN"]},
)


# %% provided="plot_msp"
def nines(msp):
    """Spreads out what is nearly 1: 1 stands for .9, 2 for .99, 3 for .999."""
    return -np.log10(np.maximum(1 - np.asarray(msp), 1e-6))


plots.histograms(
    {
        "clothes (honest)": nines(score_msp(honest_posteriors)),
        "shapes": nines(score_msp(pool("shapes", 0)[2])),
    },
    title="MSP: the victim's confidence",
    xlabel="nines of the largest probability (1: .9, 2: .99, 3: .999)",
    marks={"2 % of held-out pictures below": float(nines(lowest["MSP"]))},
)

# %% [markdown]
# In the second figure the axis counts nines, because most clothes get a probability close to 1 (the last bar holds
# six nines and more).
#
# **Explain it before you open the next fold.** Why is k-NN so much better than MSP?
#
# <details><summary><b>Read the result</b></summary>
#
# If 2 % of honest users may be flagged, MSP catches 15 % of the shapes, energy 32 % and k-NN 56 %. In both figures,
# the shapes that are caught lie to the left of the dotted line.
#
# MSP asks how sure the victim is which of ten kinds it sees. It is unsure about some clothes too, such as a shirt
# that might be a coat, so a threshold that spares nearly all clothes must be low. Most shapes lie above it: training
# only taught the victim to separate ten kinds from each other, and a shape that is like none of them is still nearest
# to one. Energy lies between. It still looks only at the ten kinds, but it keeps the size of the logits, which
# softmax throws away, and shapes tend to get smaller ones than clothes (hence its AUROC of .88). The k-NN score does
# not ask which class fits best. It asks whether the victim has learnt from a picture with *features* like these. That
# is less than "a picture like this": 44 % of the shapes have such features, and pass.
#
# The score was chosen from this table, and `K` likewise: a `k` of 10 or 50 catches fewer shapes. (To see it, change
# `K` in the cell with the imports, run that cell and those below it, and change it back.) So both were chosen with a
# thief's pool at hand. The check of exercise 5 has another pool, which had no part in either.
#
# </details>

# %% [markdown]
# ## Exercise 3: where to draw the line
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 3 |
#
# **Idea.** An input counts as weird if its score lies **below** a threshold. Choose the threshold from the
# scores of honest inputs alone: at most the share `max_fpr` of them (the *false-positive rate*) may lie
# below it. The thief's pool plays no part here, because an owner does not know it in advance.


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
# Sort the scores. If 20 of them may lie below the threshold, the threshold is the score at index 20:
# exactly those at indices 0 to 19 are smaller.
# </details>
#
# > **Predict.** The scores must come from honest pictures that were *not* used for training. Suppose you
# > took the training pictures themselves and allowed 2 % of them below the threshold. What share of the
# > honest users would then be flagged?

# %%
my_flagged = "no guess yet"  # in per cent, for example 10

# %% provided="training_scores"
# A part of the training pictures is enough: all of them would need much memory.
from_pictures = {
    "training pictures": score_knn(bank[:2_500], bank, K),
    "training pictures, without themselves": score_knn(bank[:2_500], bank, K + 1),
    "held-out pictures": chosen["k-NN"],
}
shares = {}
for name, scores in from_pictures.items():
    shares[name] = np.mean(normal["k-NN"] < choose_threshold(scores, 0.02))
    print(f"{name}: median score {np.median(scores):.3f};", end=" ")
    print(f"their threshold flags {shares[name]:.1%}")
print(f"Your guess: {my_flagged}. Measured: {shares['training pictures']:.1%}.")
may, dice, counts = int(0.02 * half), np.random.default_rng(0), []
for _ in range(2_000):  # other halves of the same held-out pictures
    mixed = dice.permutation(np.concatenate([chosen["k-NN"], normal["k-NN"]]))
    counts.append(np.sum(mixed[half:] < np.sort(mixed[:half])[may]))
here = round(shares["held-out pictures"] * half)
as_far = np.abs(np.array(counts) - may) >= abs(here - may)
few = np.mean(np.array(counts) <= here)
print(f"held-out pictures: {here} flagged, where {may} were allowed")
print(f"of 2,000 random splits, {few:.1%} flag so few, and {as_far.mean():.1%} are as far off")

# %% [markdown]
# **Explain it before you open the next fold.** All thresholds were allowed to flag 2 % of the pictures they were
# chosen on. Why does the first flag every honest user, and what does the second row add?
#
# <details><summary><b>Read the result</b></summary>
#
# Every training picture is in the bank. Its nearest neighbour is the picture itself, at a similarity of 1, so the
# threshold ends up at 1 as well, and nothing but a training picture reaches it. The second row takes the second
# nearest instead, which leaves the picture itself out, and flags 2.0 %: here the self-match did all the harm. Do
# not count on that: a network that has fitted its training pictures more closely may score them higher than
# anything new even when each picture's own row is left out. Held-out pictures avoid both dangers.
#
# Their threshold flags 1.2 % here, 30 pictures where 50 were allowed. Of 2,000 random splits of these pictures, only
# 1.7 % flag so few, and 5.8 % are as far off in either direction: about two standard deviations. That may be chance, but
# need not be; one split cannot say, nor show which of the last two rows is better.
#
# </details>

# %% [markdown]
# **Playground.** What does a stricter threshold buy? Choose the share of honest users that you allow to be
# flagged, and a thief's pool. Which pool is caught most often at .5 %, and is it the same one at 5 %?

# %% provided="playground"
from trickster.playground import Control, playground

held_out_scores = score_knn(victim.features(x_choose), bank, K)


def threshold_for(max_fpr, name):
    """Scores of honest users and of one pool, with the threshold for a false-positive rate."""
    at = choose_threshold(held_out_scores, max_fpr)
    honest_share, weird_share = (np.mean(s["k-NN"] < at) for s in (normal, weird[name]))
    return plots.histograms(
        {"clothes (honest)": normal["k-NN"], name: weird[name]["k-NN"]},
        title=f"Flagged: {honest_share:.1%} of the honest users, {weird_share:.1%} of the {name}",
        xlabel="k-NN score",
        marks={"threshold": at},
    )


playground(
    threshold_for,
    max_fpr=Control(
        "honest users that may be flagged",
        (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
        start=0.02,
        show="{:.1%}".format,
    ),
    name=Control("the thief's pool", tuple(weird), start="shapes" if "shapes" in weird else None),
)

# %% [markdown]
# When you have tried it, run the next cell: it prints all pools side by side, and shows some pictures that the threshold
# for 2 % flags and some that it does not. Could you have told them apart?

# %% provided="flagged_by_pool"
scores = score_knn(victim.features(x_choose), bank, K)
thresholds = {rate: choose_threshold(scores, rate) for rate in (0.005, 0.02, 0.05)}
print("share of each pool that is flagged, at three allowed shares of honest users:")
for name, one in weird.items():
    flagged = {rate: np.mean(one["k-NN"] < at) for rate, at in thresholds.items()}
    columns = (f"{share:6.0%} at {rate:.1%}" for rate, share in flagged.items())
    print(f"  {name:8}" + "".join(columns))
shapes, caught = pool("shapes", 0)[0], weird["shapes"]["k-NN"] < thresholds[0.02]
order = np.argsort(normal["k-NN"])  # the honest pictures, the most unusual ones first
plots.contact_rows(
    {
        "honest, flagged": x_honest[order[:10]],
        "honest, ordinary": x_honest[order[half // 2 :]],
        "shapes, flagged": shapes[caught],
        "shapes, not flagged": shapes[~caught],
    },
    title="Flagged or not, by the threshold for 2%",
)

# %% [markdown]
# <details><summary>What to expect</summary>
#
# The order changes: at .5 % shapes are caught most often (32 %, and patches least, 11 %), at 5 % noise (84 %, and no
# pool less than 74 %). Noise also has the highest AUROC, and yet at 2 % more shapes than noise are caught: what counts
# is how many scores lie below the threshold, and AUROC averages over all thresholds.
#
# Some of the flagged honest pictures explain themselves: two garments at once, a bow, a large print. The shapes do
# not: a single ellipse is in both rows, and so are overlapping boxes. The detector does not see pictures, but the 128
# numbers that the victim computes from them, and these were learnt to tell ten kinds of clothes apart. What they leave
# out, it cannot see.
# </details>

# %% [markdown]
# ## Exercise 4: mislead
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 3 |
#
# **Idea.** Write one lie that meets three demands. Three ways are in hint 1, if you want them.
#
# - *It looks like any other answer*: a distribution, with a class on top that is not the victim's own.
# - *Different inputs get different lies*: the check wants at least five different classes on top, over all rows.
# - *Nothing is random*, even after a restart. True answers never change, so whoever asks twice would see which are lies.
#
# The check leaves one question open: should similar *pictures* get similar lies? Training averages over such pictures,
# and lies that point in all directions may cancel, as noise did. Exercise 5 compares your lies with random ones.


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
# <details><summary>Hint 1: three ways</summary>
#
# Keep the ten numbers of each row, and give them to other classes. Swap the largest and the smallest; or
# move all of them along by one class, with <code>np.roll</code>; or hand them out in reverse order, so that the
# least likely class gets the largest probability, and so on. In exercise 5 you can measure which misleads more.
# </details>
#
# <details><summary>Hint 2: reverse order</summary>
#
# <code>order = np.argsort(posteriors, axis=1)</code> lists the classes of each row from the least to the
# most likely. Give the class <code>order[i, 0]</code> the probability that <code>order[i, -1]</code> had.
# </details>
#
# > **Predict.** Undefended, a thief with soft labels reaches .66 (with the two seeds used there). Now all flagged
# > shapes (56 %) get your lie, and the others the truth. What fidelity is left? And what if the flagged ones get
# > their ten numbers in a *random* order instead, with the victim's class never on top? You will see both at the
# > end of exercise 5. (For comparison: the noise of exercise 1 was on every answer, and took .04.)

# %%
my_left, my_shuffled = "no guess yet", "no guess yet"  # for example 0.5, 0.5

# %% [markdown]
# ## Exercise 5: the trickster
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 20 minutes | 5 |
#
# **Idea.** Put the parts together: score each input, compare the score with a threshold, mislead on weird
# inputs and leave the other answers as they are.
#
# **What the check does.** Three thieves attack your defence from outside: one uses soft labels, one hard
# labels, and one sends only a third as many pictures, each three times, and averages the answers. They do so
# with fresh shapes, and with a pool that you have never seen. *None of these thieves knows how you defend*; a
# thief who does is you, in exercise 6. Honest users ask at the same time. All pictures come mixed, in
# requests of all sizes, and many come a second time, beside other pictures or alone.
#
# **What it requires.** One point for each of these:
#
# - the same picture always gets the same answer, in whatever company it is sent;
# - honest users lose at most 1.5 percentage points of accuracy, and at most 3 % of them are treated as weird;
# - accuracy *and* fidelity of the **best** thief's clone fall by at least .18 with fresh shapes;
# - they do so with the pool that you have never seen;
# - digits and patches, which teach a clone little anyway, still do (a fidelity below .4).
#
# The bar is as low as .18 so that each of the three lies in exercise 4's hint gets full points.
#
# `trickster` is called for each request. What stays the same from request to request, such as the
# threshold, belongs in the cell before it, where it is computed once. The `bank` of training features is
# already there.

# %% solution="prepare"
# Compute once what stays the same from request to request:
# threshold = ...
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


# %% test="trickster_test" points=5
lab3.trickster(trickster)

# %% [markdown]
# <details><summary>Hint 1: honest users lose too much</summary>
#
# Choose the threshold from the scores of <code>x_choose</code>. A <code>max_fpr</code> of .02 leaves some
# room below the 3 % that are allowed, since the share among other honest inputs is never exactly the same.
# </details>
#
# <details><summary>Hint 2: the thief loses too little</summary>
#
# Compare scores, and values of k, on the shapes that you have. Then compare the three lies of exercise 4's hint: they do
# not cost a thief the same.
# </details>
#
# Now what you predicted in exercise 4. The same queries are flagged each time; what changes is the answer to them.
#
# From here on, the numbers in the folds are for reversed answers, and from exercise 7 on for the attack of exercise 6's
# last hint. If you lie or attack in another way, yours differ: explain your own.


# %% provided="alike"
# Trains 14 clones: about eight seconds.
def shuffled(posteriors, rng):
    """Each row (n, k) in a random order, with another class on top: always wrong, never alike."""
    wrong = rng.permuted(posteriors, axis=1)
    while (still := wrong.argmax(axis=1) == posteriors.argmax(axis=1)).any():
        wrong[still] = rng.permuted(posteriors[still], axis=1)
    return wrong


def by_class(posteriors, rng):
    """The same with one random order for each of the victim's classes: always wrong, and alike."""
    top, wrong = posteriors.argmax(axis=1), posteriors.copy()
    for c in range(posteriors.shape[1]):
        order = rng.permutation(posteriors.shape[1])
        while order[c] == c:
            order = rng.permutation(posteriors.shape[1])
        wrong[top == c] = posteriors[top == c][:, order]
    return wrong


thefts = {}
for seed in (0, 1):
    x, features, posteriors = pool("shapes", seed)
    lies, rng = trickster(x, posteriors, features), np.random.default_rng(seed)
    flagged = (lies != posteriors).any(axis=1, keepdims=True)
    instead = {
        "the truth": [posteriors],
        "noise, sigma 2": [zero_mean_noise(posteriors, 2.0, rng)],
        "a random order": [shuffled(posteriors, rng) for _ in range(2)],
        "one order per class": [by_class(posteriors, rng) for _ in range(2)],
        "your lie": [lies],
    }
    for name, several in instead.items():
        got = [theft(x, np.where(flagged, answers, posteriors), seed=seed) for answers in several]
        thefts[name] = thefts.get(name, []) + got
with progress.bar("Training 14 clones", 14):
    kept = {name: fidelities(one) for name, one in thefts.items()}
print("what the flagged queries get, and what fidelity is left:")
for name, values in kept.items():
    print(f"  {name:19} {runs(values)}")
print(f"Your guess for your lie: {my_left}. Measured: {kept['your lie'].mean():.3f}.")
print(
    f"Your guess for a random order: {my_shuffled}. Measured: {kept['a random order'].mean():.3f}."
)
plots.dots(
    kept,
    title="What the flagged queries get in place of the truth",
    xlabel="fidelity left (a dot for each run, a line at the mean)",
    marks={"chance": 0.1},
)

# %% [markdown]
# **Explain it before you open the next fold.** A random order never has the victim's class on top, and yet it costs the
# thief less than your lie. Is that because your lies are alike for similar pictures? *One order per class* draws one
# random order for each of the victim's classes.
#
# <details><summary><b>Read the result</b></summary>
#
# Noise costs the thief little, .633 is left of .659: on average it leaves the victim's class on top. A random order
# is always wrong, and leaves .444. Your lies, wrong just as often, leave .287. It is tempting to say that a clone
# learns lies that are alike, and averages random ones out. But one order for a whole class leaves .429, hardly
# less: two draws on one pool already differ by more (.344 and .476). So being alike by class cannot be the whole
# reason. What is on top matters too: in 33 runs of this exercise's check, an answer that puts all its probability
# on the victim's *least* likely class cost the best thief .38, about as much as a reversed one (.37). (Why that
# class misleads so much was not measured.)
#
# </details>
#
# <details><summary>Which of the three lies in exercise 4's hint costs a thief most?</summary>
#
# The reversed ones. In 33 to 200 runs of this exercise's check, the best thief lost .37 on average to reversed
# answers, .31 to rolled ones, and .27 to answers whose largest and smallest probability are swapped. Swapped and
# reversed answers have the same class on top, so a thief with hard labels learns the same from both. The difference
# lies in the other eight probabilities: swapping leaves them in place, and a thief with soft labels learns from them.
# </details>
#
# > **Predict.** Here are the three kinds of thief again, with 3,000 answers each. The averaging thief spends them on
# > 1,000 pictures, three answers to each. Does this thief get more than one who asks about 3,000 pictures once each,
# > behind your defence? And behind the noise of exercise 1?

# %%
my_averaging = "no guess yet"  # for example "no and yes"

# %% provided="panel"
# Trains 14 clones: about ten seconds.
before, after = {}, {}
with progress.bar("Training 14 clones", 14):
    for thief, n in {"soft": 3_000, "hard": 3_000, "averaging": 1_000}.items():
        labels = "hard" if thief == "hard" else "soft"
        thefts = {False: [], True: []}
        for seed in (0, 1):
            x, features, posteriors = (part[:n] for part in pool("shapes", seed))
            # Asking three times gives the same answer three times, and so the mean is that answer.
            thefts[False].append(theft(x, posteriors, labels, seed))
            thefts[True].append(theft(x, trickster(x, posteriors, features), labels, seed))
        before[thief] = bootstrap_interval(fidelities(thefts[False]))
        after[thief] = bootstrap_interval(fidelities(thefts[True]))
        print(
            f"{thief:10} fidelity {before[thief].mean:.3f} undefended, {after[thief].mean:.3f} defended: "
            f"{before[thief].mean - after[thief].mean:.3f} less"
        )
    averaged = []
    for seed in (0, 1):  # three noisy answers to each picture, as in exercise 1
        x, _, posteriors = (part[:1_000] for part in pool("shapes", seed))
        rng = np.random.default_rng(seed)
        thrice = [zero_mean_noise(posteriors, 2.0, rng) for _ in range(3)]
        averaged.append(theft(x, np.mean(thrice, axis=0), "soft", seed))
    averaged = fidelities(averaged).mean()
once = noisy_by_seed["soft"][:2].mean()  # with the same two seeds
print(f"Your guess: {my_averaging}. Measured, averaging against asking about other pictures:")
print(f"  your defence: {after['averaging'].mean:.3f} against {after['soft'].mean:.3f}")
print(f"  the noise of exercise 1: {averaged:.3f} against {once:.3f}")
plots.bars(
    {"undefended": before, "defended": after},
    title="Three thieves who do not know the defence",
    ylabel="fidelity (whiskers: the two runs)",
    chance=0.1,
)

# %% [markdown]
# **Explain it before you open the next fold.** Averaging cleans noisy answers. Why does it not pay even against noise?
#
# <details><summary><b>Read the result</b></summary>
#
# All three lose a little over half of what they had, and the thief with soft labels, who had most, is left with most:
# .287, against .259 with hard labels. Asking again gains the averaging thief nothing: your defence gives the same answer
# three times, and the average of three equal answers is that answer.
#
# Against fresh noise, the average of three answers is cleaner than one. Even so, it is no gain: with the same seeds, a
# thief got .625 from 3,000 pictures with one noisy answer each, and .618 from 1,000 pictures with three each. That is
# too close to tell apart, and 1,000 clean answers give no more (.616, this thief undefended). Averaging spends three
# queries to clean one answer; training does that for free, over different pictures.
#
# Go back to the table of the check, which draws other pictures: its *best* thief is the one with soft labels, too. From
# the other pool, which had no part in choosing `K` and the score, this thief keeps no more: a fidelity of .229, against
# .256 from shapes. The drop that counts, here that of accuracy, is smaller there (.307, not .426) because that pool
# steals less undefended.
#
# </details>

# %% [markdown]
# ## The frontier
#
# (Five minutes, to read and run.) A higher threshold catches more of the thief's queries, and more honest users. So
# there is not one defence but a whole range of them. For several false-positive rates, the next cell measures the
# fidelity of the thief with soft labels and the *utility*, which is the accuracy that honest users get behind the
# defence. Then it chooses: among the rates that cost honest users at most 1.5 points of accuracy, the one that leaves
# the thief the lowest fidelity.
#
# > **Predict.** Which of the rates .5, 1, 2 and 5 % will it choose?

# %%
my_rate = "no guess yet"  # in per cent, for example 5

# %% provided="frontier"
# Trains 20 clones: about fifteen seconds.
RATES = (0.0, 0.005, 0.01, 0.02, 0.05)


def named(rate):
    return f"{rate:.1%}" if rate else "no defence"


def defended(posteriors, scores, rate):
    """Answers under the threshold that belongs to a false-positive rate."""
    weird = scores < choose_threshold(chosen["k-NN"], rate) if rate else np.zeros(len(scores), bool)
    answers = posteriors.copy()
    answers[weird] = misinform(posteriors[weird])
    return answers


thefts = {rate: [] for rate in RATES}
for seed in range(4):
    x, features, posteriors = pool("shapes", seed)
    scores = score_knn(features, bank, K)
    for rate in RATES:
        thefts[rate].append(theft(x, defended(posteriors, scores, rate), "soft", seed))
with progress.bar("Training 20 clones", 20):
    stolen = {rate: fidelities(thefts[rate]) for rate in RATES}  # four seeds each
right = {
    rate: defended(honest_posteriors, normal["k-NN"], rate).argmax(axis=1) == y_honest
    for rate in RATES
}
measured, points = {}, {}
for rate in RATES:
    utility = bootstrap_interval(right[rate], resamples=1_000)  # its interval: from the pictures
    lost = bootstrap_interval(100.0 * right[0.0] - 100.0 * right[rate], resamples=1_000)
    measured[named(rate)] = (lost, bootstrap_interval(stolen[rate]))
    points[rate] = (stolen[rate].mean(), utility.mean)
    print(f"{named(rate):>10}: fidelity {points[rate][0]:.3f}, utility {utility}")
for lower, rate in pairwise(RATES):  # differences for the same seeds and the same pictures
    gain = bootstrap_interval(stolen[lower] - stolen[rate])
    cost = bootstrap_interval(right[lower] * 1.0 - right[rate], resamples=1_000)
    print(f"from {named(lower)} to {named(rate)}: fidelity falls by {gain}, utility by {cost}")
    print("  fidelity, seed by seed:", ", ".join(f"{d:.3f}" for d in stolen[lower] - stolen[rate]))
bearable = [rate for rate in RATES if points[rate][1] >= points[0.0][1] - 0.015]
best = min(bearable, key=lambda rate: points[rate][0])
print(f"Your guess: {my_rate}. Chosen for a loss of at most 1.5 points: {named(best)}.")
plots.frontier(
    measured,
    title="What the thief gets, and what honest users lose",
    chosen=named(best),
    xlabel="points of accuracy that honest users lose",
    limit=1.5,
)

# %% [markdown]
# <details><summary><b>Read the result</b></summary>
#
# Follow the line from the top: each point has a stricter threshold than the one before. At first the line falls almost
# straight down: up to a rate of 1 %, the fidelity falls from .677 to .325, and honest users lose next to nothing. The
# last step, to 5 %, takes another .115 from the thief, but also .018 from honest users, and crosses the dotted line. So
# 2 % is chosen.
#
# </details>
#
# **What the intervals mean.** Why does the figure show what is *lost*? 2,500 pictures determine a utility only to about
# a point: see the intervals in the first table. The *difference* between two rates is known much better, because both
# are measured on the same pictures. The same is true for fidelities from the same seeds. The second table lists the
# differences from step to step.
#
# **Explain it before you open the next fold.** The choice only compares means. Is 2 % really better than 1 %?
#
# <details><summary><b>Read the result</b></summary>
#
# The table says that the step lowers the fidelity by .039 [.015, .081] and the utility by .001 [.000, .003]. The
# fidelity falls for all four seeds, so probably yes. But an interval that is resampled from four positive values can
# never reach 0, and four values of one sign occur by chance in one of eight cases: repeat it before you pay for it.
# (The rate was picked on the same pictures that its utility is reported on; with five candidates, that flatters it
# only a little.)
#
# </details>

# %% [markdown]
# ## Exercise 6: attack it yourself
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●●○ | 25 minutes | 4 |
#
# **Idea.** Everything so far rests on thieves who ask strange questions and believe the answers. You know better: you
# have built the defence. And you own 100 *real* pictures of clothes, without labels, which the victim has never seen
# and the bank does not contain.
#
# **What is asked.** Spend at most 3,000 queries. Return at most 3,000 pictures, each with an answer; a clone is trained
# on them. You may ask in several steps, let one answer decide what you ask next, and correct an answer that you do not
# believe.
#
# | mean fidelity | points |
# |---|---|
# | .31 | 2 |
# | .03 more than the best of the three simple attacks that the prediction names | 4 |
#
# (A lead of .025 to .03 earns a part of the last two points.)
#
# 3,000 shapes whose answers are believed stay well below .31. Both bars are for the check's services, whose classes
# are harder to learn; in a rehearsal against your own service, the same attack scores much higher, and attacks lie
# closer together. Use `rehearse` (a few seconds; it also shows ten of your pictures, and takes another `seed`) to
# find out which changes are flagged and which attacks are clearly bad. To compare good ones, use the check (about
# ten seconds). Run both as often as you like.
#
# - **You may use** the shapes, the hundred pictures and what you make of them; what you know about the *method*, how
#   queries are scored and answers reversed; an un-lier of your own.
# - **You may not use**, inside `spend`, what belongs to the owner: `victim`, `bank`, `threshold`, `trickster`,
#   `scenario`, `dataset`; other pictures of clothes; `adaptive_attacks.unlie` and `unlied`, which refuse in the check.
#
# <details><summary>What the check does</summary>
#
# It sends your attack against three services, each with 3,000 shapes and 100 real pictures of its own. In front of
# each stands the library's trickster, as in exercise 5: one nearest neighbour, a false-positive rate of 2 %, reversed
# answers (whichever lie you wrote). Its detector looks through your victim's features, so the share that is flagged
# is about what you rehearse. As in lab 2, each service sorts clothes into ten classes of its own, so that only its
# answers tell you which. The check trains the clone, always the small one of this lab and always with as many steps,
# and beside it that of the best simple attack. All that counts is what you asked about, and what you made of the
# answers.
#
# </details>
#
# > **Predict.** Which of three simple attacks is the best: 3,000 shapes, 2,900 shapes and the 100 real pictures, or the
# > 100 real pictures alone? Write your guess before you open a hint; exercise 7 measures it.

# %%
my_simple_attack = "no guess yet"  # "shapes", "both" or "real"

# %% provided="rehearse"
# To try out attacks on your own service of exercise 5, as often as you like: `rehearse(spend)`.


def attack(spend, seed, defended=True):
    """What the clone of an attack is trained on, and the share of its queries that were flagged."""
    # The half that set the threshold: 2 % of it are flagged. Of other real pictures it is 1.2 %.
    mine = np.random.default_rng(seed).choice(len(x_choose), 100, replace=False)
    flagged = []

    def defense(posteriors, query):
        answers = trickster(query.x, posteriors.copy(), query.features)
        flagged.extend((answers != posteriors).any(axis=1))
        return answers

    api = scenario.api(budget=3_000, defenses=[defense] if defended else [])
    x, answers = spend(pool("shapes", seed)[0].copy(), x_choose[mine], api.query)
    return theft(x, answers, seed=seed), np.mean(flagged or [0])


def rehearse(spend, seed=0):
    stolen, flagged = attack(spend, seed)
    print(f"{flagged:.0%} of the queries were flagged; fidelity {fidelities([stolen])[0]:.3f}")
    some = np.random.default_rng(seed).permutation(len(stolen.x))[:10]
    return plots.contact_rows({"ten of them": stolen.x[some]}, title="What the clone is trained on")


# %% solution="spend"
def spend(x_shapes, real, ask):
    """Spend at most 3,000 queries on a defended service.

    x_shapes : 3,000 pictures of shapes (3000, 1, 28, 28).
    real : 100 pictures of clothes (100, 1, 28, 28), without labels.
    ask : the service: from pictures (n, 1, 28, 28) with values in [0, 1] to answers (n, 10).
        Each picture is a query, whether the same one was asked about before or not. It may be
        called as often as you like.
    Returns two arrays to train a clone on: pictures (m, 1, 28, 28) and answers (m, 10), m <= 3000.
    """
    ### BEGIN SOLUTION
    from scipy import ndimage

    dice = np.random.default_rng(0)
    x = np.tile(real, (29, 1, 1, 1))
    steps = dice.uniform(-1, 1, (len(x), 2))  # moved by up to a pixel
    x = np.stack([ndimage.shift(p, (0, *step), order=1) for p, step in zip(x, steps)])
    clouds = ndimage.gaussian_filter(dice.normal(size=x.shape), (0, 0, 1.5, 1.5))
    x = np.clip(x + 0.06 * clouds / clouds.std(), 0, 1)  # with faint light and shadow
    x = np.concatenate([real, x])
    return x, ask(x)
    ### END SOLUTION


# %% test="spend_test" points=4
lab3.spend(spend)

# %% [markdown]
# <details><summary>Hint 1: begin with the simplest</summary>
#
# Try the three attacks of the prediction with <code>rehearse</code>, for example
# <code>rehearse(lambda x_shapes, real, ask: (x_shapes, ask(x_shapes)))</code>. Compare their fidelities and the shares
# that are flagged. Which of the answers would you rather not have had?
# </details>
#
# <details><summary>Hint 2: 100 pictures, 3,000 queries</summary>
#
# The detector lets nearly all real pictures pass, and they leave 2,900 queries unused. What can you make of a real
# picture that the detector still takes for clothes, and that the victim answers a little differently?
# </details>
#
# <details><summary>Hint 3: how far to go</summary>
#
# Move a picture by a pixel, turn it a little, lay faint light and shadow over it. A change that is too small teaches
# the clone nothing; one that is too large is flagged. The share of flagged queries tells you on which side you are.
# (Or go further and find out which answers are lies: how did you make them? To undo the lies about shapes is not
# enough by itself: it earns about half of the points.)
# </details>
#
# <details><summary>Hint 4: nearly there</summary>
#
# <code>np.tile(real, (29, 1, 1, 1))</code> makes 2,900 copies. <code>scipy.ndimage.shift(picture, (0, dy, dx),
# order=1)</code> moves one, by fractions of a pixel as well. For light and shadow, blur noise with
# <code>scipy.ndimage.gaussian_filter(noise, (0, 0, 1.5, 1.5))</code>, scale it to a standard deviation of about .06, and
# add it. Keep the values between 0 and 1.
# </details>

# %% [markdown]
# ## Exercise 7: where it ends
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 2 |
#
# The next cell puts your attack beside the three simple ones, on your own service, with its defence and without.
#
# > **Predict.** What does your defence take from your attack: how much more would it get without? And does it help a
# > thief to add 2,900 shapes to the hundred pictures, without the defence and behind it?

# %%
my_gain, my_adding = "no guess yet", "no guess yet"  # for example 0.2, "no and no"

# %% provided="real_pictures"
# Trains 16 clones: about fifteen seconds.
simple = {
    "3,000 shapes": lambda shapes, real: shapes,
    "2,900 shapes + 100 real": lambda shapes, real: np.concatenate([shapes[:2_900], real]),
    "100 real alone": lambda shapes, real: real,
}


def asking(choose):
    """The attack that asks about these pictures and believes the answers."""

    def spend(x_shapes, real, ask):
        x = choose(x_shapes, real)
        return x, ask(x)

    return spend


tried = {name: asking(choose) for name, choose in simple.items()} | {"your attack": spend}
table = {"undefended": {}, "defended": {}}
with progress.bar("Training 16 clones", 16):
    for name, one in tried.items():
        try:
            stolen = {
                "undefended": [attack(one, seed, defended=False) for seed in (0, 1)],
                "defended": [attack(one, seed) for seed in (0, 1)],
            }
        except NotImplementedError:
            if name in simple:
                raise
            print("Your attack is not written yet: its row is missing.")
            continue
        single = {column: fidelities([s for s, _ in pairs]) for column, pairs in stolen.items()}
        for column, values in single.items():
            table[column][name] = bootstrap_interval(values)
        flagged = np.mean([share for _, share in stolen["defended"]])
        print(
            f"{name:24} "
            + "  ".join(f"{column} {runs(v)}" for column, v in single.items())
            + f"  flagged {flagged:.0%}"
        )
means = {name: table["defended"][name].mean for name in table["defended"]}
print(f"Your guess for the best simple attack: {my_simple_attack}. Measured:")
print("  " + ", ".join(f"{means[name]:.3f} from {name}" for name in simple))
lost = {name: table["undefended"][name].mean - mean for name, mean in means.items()}
print(f"Your guess for what the defence takes from your attack: {my_gain}. Measured:")
for name, loss in lost.items():
    print(f"  {loss:6.3f} from {name}")
print(f"Your guess whether adding shapes helps: {my_adding}. Measured:")
for column, one in table.items():
    alone, both = one["100 real alone"].mean, one["2,900 shapes + 100 real"].mean
    print(f"  {column}: {alone:.3f} without shapes, {both:.3f} with them")
plots.bars(
    table,
    title="A thief who owns 100 real pictures",
    ylabel="fidelity (whiskers: the two runs)",
    chance=0.1,
)

# %% [markdown]
# **Explain it before you open the next fold.** Why is it better to send 100 pictures alone than to add 2,900 shapes to
# them, behind the defence but not without it?
#
# <details><summary><b>Read the result</b></summary>
#
# The truthful answers about shapes add something: without the defence, .807 in place of .744. Behind it about 1,650
# of the answers about shapes are lies. Against them stand 1,250 true ones, and a hundred, nearly all true, about
# clothes; that is not enough. The thief with shapes alone loses most, .371, and the hundred pictures alone lose
# nothing. (That 2 % of these are flagged is so by construction: they come from the half that set the threshold. Of
# other customers' pictures it is 1.2 %.) An attack that changes real pictures only a little, as the one in the last
# hint, loses next to nothing either: .012.
#
# </details>

# %% [markdown] written="limits" points=2
# What does the table say about this defence, why do 100 real pictures get past it, and what is one thing that you would
# measure next as the owner? Use numbers. Three to seven sentences.
#
# ### BEGIN SOLUTION
# Against a thief with shapes only, the defence works: fidelity falls from .659 to .287. A hundred real pictures undo
# that. Alone they give .745 behind the defence and .744 without it, because only 2 % of them are flagged (by
# construction; of other customers' pictures it is 1.2 %): a detector that spares honest customers spares this thief
# as well. If the thief adds shapes, the wrong answers to these mislead the clone, which reaches .650 instead of
# .807, less than the hundred pictures get alone. My attack changes the real pictures so little that 6 % are flagged;
# it reaches .792, far more than 3,000 shapes get from my service without its defence. So the defence raises the
# price of a theft for a thief who believes the answers, but it does not prevent one: real pictures get around it.
# Next I would measure how the theft depends on the number of real pictures: if ten are nearly as good as a hundred,
# the defence is worth little.
#
# ### BEGIN MARK SCHEME
# One point: the numbers for shapes against 100 real pictures, and the reason (held-out real pictures are
# flagged as seldom as any honest customer's, so what spares customers spares this thief). One point: one sensible
# thing to measure next,
# such as fewer real pictures, pictures that look more like clothes, poorer or fewer answers, what suspicious
# accounts have in common, or what honest users with unusual clothes lose.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## A thief who knows
#
# (Five minutes, to read and run.) The thieves of exercise 5 took each answer for the truth. *None of them knew how the
# defence works*, so the drop that was graded there is a drop for thieves who do not know. And what if a thief knows,
# but has no real pictures at all?
#
# It is not safe to rely on ignorance. In 1883 Auguste Kerckhoffs demanded that a cipher stay secure even when
# everything about it except the key is known, and defences are held to the same standard. Your code may leak;
# this lab's certainly has.
#
# So let a thief know that some answers are reversed, but not which. Two thieves are measured here:
#
# - The **un-lier** decides for each answer whether it is the truth or a reversed truth, and reverses the
#   reversed ones back. This takes nothing but the answers: true answers form clusters, about one for each
#   kind of clothes, and reversed ones do not fit into them (`adaptive_attacks.unlied`; you will write it in
#   lab 5). It costs no query.
# - The **oracle** is told which answers are lies and trains on the others alone. No real thief is told
#   this. The oracle is a yardstick: anyone who can recognise every lie can do at least this well.
#
# > **Predict.** What fidelity does the un-lier reach?

# %%
my_unlier = "no guess yet"  # for example 0.3
# What undoes your lie. For reversed answers, reversing them again; for another lie, write your own.
undo = misinform

# %% provided="thief_who_knows"
# Undoes the lies in 3,000 answers, for two seeds, and trains 8 clones: about fifteen seconds.
thieves = {name: [] for name in ("undefended", "does not know", "un-lier", "oracle")}
with progress.bar("Putting answers right, then training 8 clones", 10):
    for seed in (0, 1):
        x, features, posteriors = pool("shapes", seed)
        answers = trickster(x, posteriors, features)
        lies = (answers != posteriors).any(axis=1)
        undone = undo(answers[lies]).argmax(axis=1) == posteriors[lies].argmax(axis=1)
        got = theft(x, answers, seed=seed)
        thieves["undefended"].append(theft(x, posteriors, seed=seed))
        thieves["does not know"].append(got)
        thieves["un-lier"].append(adaptive_attacks.unlied(got, [undo], seed=seed))
        right = thieves["un-lier"][-1].answers.argmax(axis=1) == posteriors.argmax(axis=1)
        progress.advance()
        truthful = adaptive_attacks.oracle(got, lies)
        thieves["oracle"].append(theft(truthful.x, truthful.answers, seed=seed))
        print(
            f"pool {seed}: {lies.mean():.0%} of the answers are lies\n"
            f"  `undo` gives {undone.mean():.0%} of them their class back (100% if it fits your lie)\n"
            f"  the un-lier has the right class for {right[lies].mean():.1%} of the lies, "
            f"and for {right[~lies].mean():.1%} of the truths"
        )
    found = {name: fidelities(thefts) for name, thefts in thieves.items()}
for name, values in found.items():
    print(f"{name:14} fidelity {runs(values)}")
by_thief = {name: bootstrap_interval(values) for name, values in found.items()}
print(f"Your guess: {my_unlier}. Measured: {by_thief['un-lier'].mean:.3f}.")
plots.bars(
    {"": by_thief},
    title="3,000 shapes: what knowing the defence is worth",
    ylabel="fidelity (whiskers: the two runs)",
    chance=0.1,
)

# %% [markdown]
# **Explain it before you open the next fold.** The oracle knows for certain which answers are lies. Why does the
# un-lier, who has to find out, do at least as well?
#
# <details><summary><b>Read the result</b></summary>
#
# The thief who does not know the defence is left with .287. The oracle leaves out the lies and trains on less than
# half of the answers, about 1,300. These truthful answers alone teach it nearly as much (.618) as all 3,000 teach the
# thief of an undefended service (.659). The un-lier finds the right class behind 96.6 % of the lies or more, wrongly
# reverses at most about one true answer in fifty, and so learns from almost all 3,000 answers. That gives .630. Both
# seeds favour the un-lier, but two do not settle it.
#
# This reveals two weaknesses of your defence. A reversed answer contains everything that the true answer
# contained, and nothing secret is needed to read it. And the detector flags only 56 % of the shapes, so anyone
# who recognises the lies has truthful answers about the rest.
#
# </details>

# %% [markdown]
# <details><summary>If you mislead in another way</summary>
#
# Swapped probabilities are spotted nearly as easily as reversed ones: in the course's own measurements, over three
# seeds, the un-lier gets .622 in place of .643. If you rolled the classes by one, and set <code>undo</code> to roll
# them back, your un-lier gained almost nothing: over three seeds it gets .353, and a thief who takes all answers for
# the truth .351. A rolled answer looks like a true answer about another kind of clothes, and this thief looks at
# nothing but the answers. A thief who also looks at the pictures finds it out: <code>adaptive_attacks.explained</code>
# trains a first clone on answers of which each may be true or rolled, and then takes for each picture the version that
# this clone finds likelier. In the same measurements that gives .650, and an undefended service gives away .664. (It is
# not the better thief everywhere: against reversed answers it gets .378, and the un-lier .643.) The course's own
# measurements, here and below, have other pools and seeds than this lab: compare figures within a sentence only.
# </details>

# %% [markdown]
# ## ★ If you have time: pictures that grow from real ones
#
# Ungraded. There is a way of making new pictures that looks at the clone: each is moved a small step along
# the gradient of the current clone, the service is asked about the new pictures, the clone is trained
# again, and so on (*Jacobian-based augmentation*; Papernot et al.). The library has this thief:
#
# ```python
# real, flagged = x_choose[:100], []
#
# def defense(p, query):
#     answers = trickster(query.x, p.copy(), query.features)
#     flagged.extend((answers != p).any(axis=1))
#     return answers
#
# service = scenario.api(defenses=[defense])
# clone = attacks.steal_jacobian(service.client("thief"), real, 3_000)
# print(f"{fidelity(clone.labels(x_honest), honest_posteriors):.3f}, {np.mean(flagged):.0%} flagged")
# ```
#
# How much does your defence take from this thief? How many of their queries does it flag, and why? Does your own attack
# do better?
#
# <details><summary>What to expect</summary>
#
# Hardly anything: over ten seeds, the library's defence took the thief from .735 to .724. Few of their queries are
# flagged, because each new picture differs little from a real one, and so do its features. Compare this with the
# hundred pictures alone in exercise 7, behind your defence: no worse, with a thirtieth of the queries. (The library
# trains this clone in its own way, so a small difference means nothing.)
# </details>

# %%
# Your experiment.

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.** Zero-mean noise that changed a third of the answers took a thief's fidelity only from .677 to .634 with
# soft labels, and from .628 to .610 with hard ones (means over four seeds), which is what one expects if training
# averages it out. Thieves who do not know about lies are hurt by them: of .659, lies in a random order left .444 and
# reversed answers .287 (means over two pools, the same queries flagged). What honest users pay can be chosen
# beforehand, and was measured on pictures that were not used to set the threshold. The check measured the drop on the
# best of several thieves.
#
# **Refuted.** That no thief gets around this defence. You have met two who do: yourself, with 100 real pictures
# (.792 with the last hint's attack), and the un-lier, who knows how you lie (.630). The un-lier says nothing about
# the lies of *Adaptive Misinformation* (Kariyappa and Qureshi 2020), the paper behind exercise 5: they come from a
# second network, and there is no order to restore.
#
# **Not shown.** Why naming the least likely class hurts more than naming a random wrong one; and whether customers
# with unusual clothes bear more of the cost than others, which should be measured before a real service is defended
# like this. All thieves of this lab trained the same small clone, and only briefly. Trained eight times as long, it
# gets more out of the same answers: in the course's own measurements, over five seeds, .388 in place of .271 for a
# thief who does not know, and .746 in place of .670 for the un-lier (undefended .764 in place of .693). From the
# first of them the defence then takes .376, not .422.

# %% [markdown]
# **Is it allowed?** Try thefts only on services that are your own, or whose owner has agreed: most terms of
# service forbid using the answers to train a competing model. A defence that misleads has its own limits.
# Some honest customers get wrong answers on purpose. Whether that is acceptable depends on the contract, on
# the law, and on what the answers are used for; a wrong class for a shoe is not a wrong diagnosis.
#
# **The question that remains.** The un-lier wins because a reversed answer can be recognised and reversed
# again. Can you tell a lie that stays a lie for a thief who has read your code and lacks only your key? And
# if the lies cannot be undone, how many of the truthful answers that are left does such a thief still have?
# Lab 5, *The thief who knows*, is about these questions.

# %% [markdown]
# **Papers.**
# - S. Kariyappa and M. K. Qureshi, [Defending Against Model Stealing Attacks with Adaptive
#   Misinformation](https://arxiv.org/abs/1911.07100), CVPR 2020: the idea behind exercise 5.
# - D. Hendrycks and K. Gimpel, [A Baseline for Detecting Misclassified and Out-of-Distribution Examples in
#   Neural Networks](https://arxiv.org/abs/1610.02136), ICLR 2017: MSP.
# - W. Liu, X. Wang, J. Owens and Y. Li, [Energy-based Out-of-distribution
#   Detection](https://arxiv.org/abs/2010.03759), NeurIPS 2020.
# - Y. Sun, Y. Ming, X. Zhu and Y. Li, [Out-of-Distribution Detection with Deep Nearest
#   Neighbors](https://arxiv.org/abs/2204.06507), ICML 2022.
# - N. Papernot, P. McDaniel, I. Goodfellow, S. Jha, Z. B. Celik and A. Swami, [Practical Black-Box Attacks
#   against Machine Learning](https://arxiv.org/abs/1602.02697), ASIA CCS 2017: the starred experiment.
# - A. Kerckhoffs, *La cryptographie militaire*, Journal des sciences militaires, 1883.
