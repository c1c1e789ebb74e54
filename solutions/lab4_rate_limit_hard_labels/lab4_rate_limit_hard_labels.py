# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Lab 4: Rate limits and hard labels
#
# [Open this lab in Colab]({{colab_url}})
#
# **You will**
# - build the defences that every checklist names: rounding, fewer classes, labels only, rate limits;
# - bend probabilities so that they tell a thief less, and meet the thief who bends them back;
# - measure what each of them takes from different thieves;
# - audit a public demonstration, one mechanism at a time;
# - put a defence of your own together, see which thief it withstands, and advise an owner with numbers.
#
# **Time** about 135 minutes. **Points** 25. **You need** the ideas of lab 3, but not your code; no GPU.
#
# **The story.** *Ostrich & Daughters* have found a checklist: "return labels only, round the probabilities,
# limit the rate". All of it is cheap, and all of it could be in place by Friday. It is Thursday, and they ask
# you whether it helps.
#
# Such lists are common. [MITRE ATLAS](https://atlas.mitre.org) names *Passive AI Output Obfuscation*
# (AML.M0002) and *Restrict Number of AI Model Queries* (AML.M0004), and OWASP's
# [LLM10:2025](https://genai.owasp.org/llmrisk/llm102025-unbounded-consumption/) recommends measures of both
# kinds.
#
# **Your numbers** may differ from those in the folds in the third decimal, and sometimes in the second: another
# processor trains slightly different clones. Trust yours, and ask whether the conclusion still holds. Differences are
# taken before rounding, so that their last digit may seem wrong.
#
# **Predict, run, explain.** Before most experiments you are asked to predict the result. Write your guess into
# the small cell below the question, run the experiment, and explain the difference to yourself before you open
# the next fold. Nobody grades a guess, but run that cell even if you leave it unchanged: later cells print most
# guesses beside the measurement.

# %% [markdown]
# **If you are stuck** on an exercise, use the library's version and go on. You get no points for that exercise.
# Run these lines in a cell *after* your own, so that they replace what you wrote. While the check of an exercise
# runs, the library's version refuses to work; everywhere else you can use it.
#
# <details><summary>The library's functions</summary>
#
# ```python
# # Exercise 1
# from trickster.defenses import hard_labels, round_posteriors, top_k
#
# # Exercise 2: nothing later uses it
#
# # Exercise 3
# from trickster.defenses import reverse_sigmoid
#
# # Exercise 4
# from trickster.limiters import TokenBucket
#
# # Exercise 5, nothing and each mechanism alone
# from trickster.demos import ablation
#
# # Exercise 5, all but one
# from trickster.demos import leave_one_out
#
# # Exercise 6: it sets no limit, and uses hard_labels (take the library's as well if yours does not work)
# from trickster.api import Query
#
# def make_layered(bank, honest):
#     trickster = defenses.Trickster.from_features(bank, honest)
#
#     def layered(x, posteriors, features, key, now):
#         return hard_labels(trickster(posteriors, Query(x, features, key, now)))
#
#     return layered
#
# # Exercise 7: nothing later uses it
# ```
# </details>

# %% provided="setup"
{{setup}}

# %% provided="imports"
import math
from functools import cache, partial

import numpy as np

from trickster import (
    adaptive_attacks,
    attacks,
    defenses,
    evaluation,
    ood,
    plots,
    progress,
    training,
)
from trickster.api import RateLimited
from trickster.checks import lab4
from trickster.demos import MECHANISMS, DemoB
from trickster.evaluation import bootstrap_interval
from trickster.limiters import GlobalLimit, ManualClock, SlidingWindow
from trickster.scenario import Scenario

scenario = Scenario("{{scenario}}")
dataset = scenario.data
victim_says = scenario.victim.labels(dataset.x_test)
DAY = 86_400  # seconds

# %% [markdown]
# ## Exercise 1: the information ladder
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 12 minutes | 4 |
#
# **Idea.** An answer can contain more or less information: ten probabilities, the same ten rounded, only
# the largest three, or only the name of a class. We call each of these a *rung* of a ladder. A rung is a
# function from posteriors `(n, k)` to posteriors `(n, k)`. On every rung, each row of the result is a
# distribution, and it depends on its own row only.
#
# > **Predict.** An answer names the class with the largest probability; on ties, the first. Which of the three rungs
# > can change it?

# %%
my_changing_rungs = "no guess yet"  # none, one or more of the three


# %% solution="hard_labels"
def hard_labels(p):
    """One-hot rows: 1 for the most probable class of each row; on ties, the first.

    p : posteriors (n, k). Returns an array (n, k).
    """
    ### BEGIN SOLUTION
    return np.eye(p.shape[1])[p.argmax(axis=1)]
    ### END SOLUTION


# %% solution="top_k"
def top_k(p, k):
    """The k largest probabilities of each row, normalised; the others become 0.

    p : posteriors (n, c). Where probabilities tie, still exactly k classes stay.
    Returns an array (n, c).
    """
    ### BEGIN SOLUTION
    places = np.argsort(-p, axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(p)
    np.put_along_axis(kept, places, np.take_along_axis(p, places, axis=1), axis=1)
    return kept / kept.sum(axis=1, keepdims=True)
    ### END SOLUTION


# %% solution="round_posteriors"
def round_posteriors(p, decimals):
    """Probabilities rounded to `decimals` places, normalised again.

    p : posteriors (n, k). A row of which rounding leaves nothing becomes its hard label.
    Returns an array (n, k).
    """
    ### BEGIN SOLUTION
    rounded = np.round(p, decimals)
    empty = rounded.sum(axis=1) == 0
    rounded[empty] = hard_labels(p)[empty]
    return rounded / rounded.sum(axis=1, keepdims=True)
    ### END SOLUTION


# %% test="ladder_test" points=4
lab4.ladder(hard_labels, top_k, round_posteriors)

# %% [markdown]
# <details><summary>Hint 1: all rows at once</summary>
#
# <code>p.argmax(axis=1)</code> gives one class for each row, and <code>np.eye(k)[labels]</code> a one-hot row
# for each label. <code>p.sum(axis=1, keepdims=True)</code> has the shape (n, 1), so you can divide an (n, k)
# array by it.
# </details>
#
# <details><summary>Hint 2: the k largest</summary>
#
# <code>np.argsort(-p, axis=1)[:, :k]</code> gives the places of the k largest values of each row.
# <code>np.take_along_axis</code> reads at these places, <code>np.put_along_axis</code> writes there.
# </details>
#
# <details><summary>Hint 3: which rows can round to nothing?</summary>
#
# With <code>decimals=0</code>, every row whose largest probability is below one half. The mask
# <code>rounded.sum(axis=1) == 0</code> finds them.
# </details>

# %% [markdown]
# ## What each rung takes from a thief
#
# (Five minutes, to read and run.) The next cell trains thieves behind your rungs: `scenario.api(defenses=[...])` is
# the victim with a rung in front of it. Each thief sends 1,500 pictures from the shapes pool. The *soft thief*
# learns from all the probabilities, the *label thief* only from the name of the largest. There are three seeds,
# each with its own pool, starting weights and training. With so few seeds, the brackets behind a mean show no more
# than the lowest and the highest run.
#
# > **Predict.** Lab 2 compared labels with probabilities. What do the two rungs between take from the soft thief:
# > *one decimal*, and *the largest three*?

# %%
my_losses = "no guess yet"  # for example .1 and .2

# %% provided="rungs"
# Trains 24 clones: about fifteen seconds.
SEEDS = (1, 2, 3)
rungs = {
    "one decimal": lambda p, query: round_posteriors(p, 1),
    "largest three": lambda p, query: top_k(p, 3),
    "labels only": lambda p, query: hard_labels(p),
}


@cache  # pictures that are used again are not drawn again
def pool(seed):
    return scenario.pool("shapes", 3_000, seed=seed)


def clone_of(x, answers, labels, seed):
    """A clone trained on the answers to pictures x, with as many steps for few as for many."""
    epochs = training.same_steps(len(x))
    return attacks.train_clone(x, answers, labels=labels, epochs=epochs, seed=seed)


def fidelity_of(clone):
    """The share of the test pictures that clone and victim give the same class."""
    return evaluation.fidelity(clone.labels(dataset.x_test), victim_says)


@cache
def undefended(n, labels):
    """Fidelity of thefts with n full answers, one for each seed, with its interval."""
    pools = [(seed, pool(seed)[:n]) for seed in SEEDS]
    return bootstrap_interval(
        fidelity_of(clone_of(x, scenario.victim.posteriors(x), labels, seed)) for seed, x in pools
    )


def defended(rung, labels):
    """The same with 1,500 answers, through a service that sends what the rung leaves."""
    values = []
    for seed in SEEDS:
        client = scenario.api(defenses=[rung]).client("thief")
        x, answers = attacks.collect(client, pool(seed), 1_500)
        values.append(fidelity_of(clone_of(x, answers, labels, seed)))
    return bootstrap_interval(values)


by_rung = {}
with progress.bar("Training 24 clones", 24):
    for thief, labels in (("soft thief", "soft"), ("label thief", "hard")):
        by_rung[thief] = {"probabilities": undefended(1_500, labels)}
        by_rung[thief] |= {name: defended(rung, labels) for name, rung in rungs.items()}
for name in ("probabilities", *rungs):
    print(f"{name:14}", ",  ".join(f"{thief} {by_rung[thief][name]}" for thief in by_rung))
soft = {name: interval.mean for name, interval in by_rung["soft thief"].items()}
lost = ", ".join(f"{name} {soft['probabilities'] - soft[name]:.3f}" for name in rungs)
print(f"Your guess: {my_losses}. What each takes from the soft thief:\n  {lost}.")
sent = scenario.victim.posteriors(np.concatenate([pool(seed)[:1_500] for seed in SEEDS]))
changed = {
    name: rung(sent, None).argmax(axis=1) != sent.argmax(axis=1) for name, rung in rungs.items()
}
shares = ", ".join(f"{name} {rows.mean():.1%}" for name, rows in changed.items())
print(f"Your guess in exercise 1: {my_changing_rungs}. Answers whose class changes:\n  {shares}.")
plots.bars(by_rung, title="Fidelity with 1,500 queries, by rung", ylabel="fidelity", chance=0.1)

# %% [markdown]
# <details><summary><b>Read the result</b></summary>
#
# With full probabilities, one decimal and the largest three, the soft thief's bars are nearly equal: .633, .644 and
# .646. (The brackets of the first two do not even overlap. But they only show the range of three runs. In the
# course's own measurements, with 3,000 answers and over ten seeds, the three get .697, .698 and .698.) With labels
# only, the bar is lower by .048. Of the label thief's four bars, three are the same theft: the largest class of an
# answer is all this thief uses, and neither keeping three classes nor sending labels changes it. Rounding is the only
# rung that can: where it makes two classes equal, the first of them wins.
#
# </details>
#
# **Explain it before you open the next fold.** A service that sends labels only withholds all ten numbers and gives
# just a name. Why does that take so little from the thief?
#
# <details><summary><b>Read the result</b></summary>
#
# A thief needs to know where one class ends and the next begins. A label says on which side of the boundary a
# picture lies; probabilities add how far away the boundary is. With many pictures the sides alone enclose the
# boundary well, so the distances add little. With few they add more, as you will see below. Rounding to one decimal and
# keeping three classes leave most of the distances in place.
#
# </details>

# %% [markdown]
# ## Exercise 2: a library's version
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 6 minutes | 1 |
#
# The [Adversarial Robustness Toolbox](https://github.com/Trusted-AI/adversarial-robustness-toolbox), a widely
# used library, offers two of the rungs of exercise 1 as defences, `ClassLabels` and `Rounded`. In version 1.20.1 they
# compute the following, rewritten in the style of this course:


# %% provided="library"
def library_hard_labels(p):
    """Labels only, as the library computes them."""
    winners = np.argmax(p, axis=1)
    answers = np.zeros_like(p)
    answers[:, winners] = 1
    return answers


def library_rounding(p, decimals):
    """Rounded probabilities, as the library computes them."""
    return np.round(p, decimals)


single = np.array([[0.7, 0.1, 0.1, 0.1, 0, 0, 0, 0, 0, 0]])
print("labels only:", library_hard_labels(single)[0])
print("rounded:    ", library_rounding(single, 1)[0])

# %% [markdown]
# Both results look right. Find a batch of posteriors for which *neither* function returns distributions: the
# one because of a bug, the other because rounding alone does not normalise (its documentation does not promise
# it).


# %% solution="counterexample"
def counterexample():
    """Posteriors (n, 10), two rows are enough, for which neither function returns distributions.

    Each row of p sums to 1; the rows of library_hard_labels(p) do not, nor do those of
    library_rounding(p, 1).
    """
    ### BEGIN SOLUTION
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p
    ### END SOLUTION


# %% test="counterexample_test" points=1
lab4.counterexample(counterexample)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Try a batch of two, with different winners.
# </details>

# %% [markdown]
# ## Exercise 3: bend the probabilities
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 3 |
#
# **Idea.** Rounding leaves the probabilities roughly right. *Reverse sigmoid* (Lee et al.) makes them wrong. It
# changes each probability $y$ of a row to
#
# $$y - \beta\,\big(\sigma(\gamma\,\mathrm{logit}(y)) - 1/2\big), \qquad
# \mathrm{logit}(y) = \log\frac{y}{1 - y}, \qquad \sigma(z) = \frac{1}{1 + e^{-z}}.$$
#
# Probabilities above one half shrink, and those below grow. Then whatever is negative becomes 0, and each row is
# divided by its sum. The largest class nearly always stays the largest, but unlikely classes are raised, and
# different small probabilities can become equal. The hope is that a network learns less from such numbers.


# %% solution="reverse_sigmoid"
def reverse_sigmoid(p, beta=1.0, gamma=0.1):
    """Posteriors (n, k) bent by the formula above, at least 0, each row divided by its sum.

    Probabilities of exactly 0 and 1 have no logit: move them to 1e-9 and 1 - 1e-9 first.
    Returns an array (n, k).
    """
    ### BEGIN SOLUTION
    y = np.clip(p.astype(float), 1e-9, 1 - 1e-9)
    bend = 1 / (1 + np.exp(-gamma * np.log(y / (1 - y)))) - 0.5
    bent = np.maximum(y - beta * bend, 0)
    return bent / bent.sum(axis=1, keepdims=True)
    ### END SOLUTION


# %% test="reverse_sigmoid_test" points=3
lab4.reverse_sigmoid(reverse_sigmoid)

# %% [markdown]
# <details><summary>Hint: in float32, 1 - 1e-9 is 1</summary>
#
# Begin with <code>y = np.clip(p.astype(float), 1e-9, 1 - 1e-9)</code>.
# </details>
#
# > **Predict.** The service bends every answer with the default `beta` and `gamma`. What does that take from the
# > soft thief, and what from the label thief? And from one who knows the formula?

# %%
my_bent = "no guess yet"  # for example 0.2, 0.1 and 0

# %% provided="bent"
# Trains 15 clones, and searches for what was bent: about ten seconds.
from trickster.unbending import unbent


def bending(p, query=None):
    return reverse_sigmoid(p).astype(np.float32)


def through_the_formula(seed):
    """Learn from the labels; then, twice, from what this clone and the formula say was bent."""
    x, told = attacks.collect(scenario.api(defenses=[bending]).client("thief"), pool(seed), 1_500)
    clone = clone_of(x, told, "hard", seed)
    for _ in range(2):
        clone = clone_of(x, unbent(told, clone.posteriors(x)), "soft", seed)
    return fidelity_of(clone)


print("a confident answer:", np.array([0.91, *[0.01] * 9]), "becomes")
print(reverse_sigmoid(np.array([[0.91, *[0.01] * 9]]))[0].round(2))
bent = {}
with progress.bar("Training 15 clones", 15):
    for thief, labels in (("soft thief", "soft"), ("label thief", "hard")):
        bent[thief] = defended(bending, labels)
    through = bootstrap_interval(through_the_formula(seed) for seed in SEEDS)
for thief, labels in (("soft thief", "soft"), ("label thief", "hard")):
    plain = undefended(1_500, labels)
    print(f"{thief:11} undefended {plain}, bent {bent[thief]}")
print(f"who knows the formula:                 bent {through}")
taken = [undefended(1_500, "soft").mean - bent["soft thief"].mean]
taken += [undefended(1_500, "hard").mean - bent["label thief"].mean]
taken += [undefended(1_500, "soft").mean - through.mean]
measured = f"{taken[0]:.3f}, {taken[1]:.3f} and {taken[2]:.3f}"
print(f"Your guess: {my_bent}. Measured: {measured}.")
turned = np.sum(bending(sent).argmax(axis=1) != sent.argmax(axis=1))
print(f"answers whose class bending changes: {turned} of {len(sent):,}")
two_alike = np.array([[0.001, 0.117, 0.882]])
print("three classes:", two_alike[0], "become", reverse_sigmoid(two_alike)[0].round(3))
named = (1e-9, 1e-7, 1e-5, 1e-3, 0.025, 0.9)
between = (1e-8, 1e-6, 1e-4, 0.005, 0.01, 0.05, 0.117, 0.2, 0.3, 0.5, 0.7)
two_classes = {y: reverse_sigmoid(np.array([[y, 1 - y]]))[0, 0] for y in named + between}
plots.curves(
    {
        "bent": {y: bootstrap_interval([value]) for y, value in two_classes.items()},
        "left alone": {y: bootstrap_interval([y]) for y in two_classes},
    },
    title="What bending makes of a probability (two classes)",
    xlabel="probability (logarithmic axis)",
    ylabel="what is sent",
    log_x=True,
    ticks=dict.fromkeys(between, ""),
)

# %% [markdown]
# **Explain it before you open the next fold.** What should the soft thief do?
#
# <details><summary><b>Read the result</b></summary>
#
# The simplest is to throw the bent probabilities away and learn from the labels: bending changes 1 of 4,500. It takes
# the soft thief from .633 to .531, and the label thief hardly falls, from .586 to .580. So a thief who switches to
# labels loses hardly more than if the service had sent labels only. In the course's own measurements, with 3,000
# answers and over ten seeds, the soft thief went from .697 to .615, and the label thief from .669 to .671.
#
# A thief who knows the formula gets more. The formula is not one-to-one: below about .025, the curve *bent* turns back
# upwards, so that .001 and .117 become the same, and an answer has many origins. That does not protect it: a clone
# that has learnt from the labels says which of them is likely. So this thief searches, for each answer, for
# probabilities that bend to it, takes those that the clone finds likeliest, trains a second clone on them, and repeats
# this once (`trickster/unbending.py`). That gives .635, about as much as if nothing had been bent (.633). A defence
# tested against a single thief looks better than it is: what counts is what the best thief is left with.
#
# </details>

# %% [markdown]
# ## Exercise 4: a token bucket
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 12 minutes | 4 |
#
# **Idea.** If the answers cannot be made poor enough, perhaps they can be made scarce. In a *token bucket*,
# each key owns a bucket of `burst` tokens, which is full at first. An answer costs one token, and `rate` tokens
# a second flow back until the bucket is full again. A short burst passes at once; in the long run a key gets
# `rate` answers a second.
#
# The time is an argument, `now`, in seconds. A limiter that reads the clock itself is hard to test. Your
# limiter keeps two promises:
#
# - **Keys are separate.** What one customer uses is not charged to another, and no key is forgotten.
# - **Whole batches.** A request gets all of its `n` answers or none, and a refused request costs nothing.
#
# A limiter in production must also cope with clocks that run backwards and with the rounding errors of many small
# sums. Yours need not: the library's `TokenBucket` and `SlidingWindow` do, and `trickster/limiters.py` shows how.


# %% solution="token_bucket"
class TokenBucket:
    """At most `burst` answers at once for each key, and `rate` a second in the long run."""

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.keys = {}  # what you remember about each key

    def allow(self, key, now, n=1):
        """Take n tokens of `key` at `now` seconds if they are there: True, else False."""
        ### BEGIN SOLUTION
        tokens, then = self.keys.get(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - then) * self.rate)
        if tokens < n:
            return False
        self.keys[key] = tokens - n, now
        return True
        ### END SOLUTION

    def retry_after(self, key, now, n=1):
        """Seconds to wait until allow(key, ..., n) succeeds: 0.0 for none, math.inf for never."""
        ### BEGIN SOLUTION
        if n > self.burst:
            return math.inf
        tokens, then = self.keys.get(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - then) * self.rate)
        return max(0.0, (n - tokens) / self.rate)
        ### END SOLUTION


# %% test="token_bucket_test" points=4
lab4.token_bucket(TokenBucket)

# %% [markdown]
# <details><summary>Hint 1: what to remember</summary>
#
# Two numbers for each key: how many tokens were left, and when that was. From them you can compute the tokens
# of *now*: <code>min(burst, tokens + (now - then) * rate)</code>. You need no timer and no thread.
# </details>
#
# <details><summary>Hint 2: when to write</summary>
#
# Only when you allow a request. A refused request then leaves no trace, and cannot be charged by mistake.
# </details>
#
# **A second limiter.** A limit for each calendar day lets a customer have twice as much around midnight. The
# library's `SlidingWindow(limit, seconds)` therefore looks back from now: at most `limit` answers for each key in
# *any* period of that length. It has the same two methods, `allow` and `retry_after`.
#
# Here is your limiter at work. `scenario.api(limiters=[...])` asks it before each answer, and raises
# `RateLimited` with the waiting time from your `retry_after`. A `ManualClock` lets the time pass.

# %% provided="limited_service"
clock = ManualClock()
service = scenario.api(limiters=[TokenBucket(rate=300 / DAY, burst=100)], clock=clock)
customer = service.client("a shop")
print("answers:", len(customer.query(dataset.x_test[:80])))
try:
    customer.query(dataset.x_test[:80])
except RateLimited as refusal:
    print(refusal)
    clock.now += refusal.retry_after + 0.001
print("answers:", len(customer.query(dataset.x_test[:80])), " used:", customer.used)

# %% [markdown]
# ## Who is refused?
#
# (Ten minutes, with the playground.) Now simulate one day of the service. Each of fifty shops sends about five
# requests of twenty pictures, at random times: 100 pictures on an average day. A thief wants 3,000 answers, and
# sends fifty pictures from each account every ten minutes. Opening many accounts to get around a limit is
# called a *Sybil attack*. There are four limits to compare:
#
# | limit | what it allows |
# |---|---|
# | none | no limit |
# | bucket | 300 a day for each account, bursts of 100 |
# | window | 300 in any 24 hours for each account |
# | global | a bucket of 6,000 a day, bursts of 500, for everybody together |
#
# > **Predict.** With how many accounts does the thief get all 3,000 answers in one day, past the bucket and past the
# > window? And what share of the shops' requests does the global limit refuse on that day?

# %%
my_accounts, my_refused = "no guess yet", "no guess yet"  # for example 3, and 5 per cent


# %% provided="one_day"
def one_day(limiter, accounts, seed=0):
    """A thief's answers in a day; of the shops, the share of requests answered, and pictures."""
    rng = np.random.default_rng(seed)
    requests = [(t, f"thief {a}", 50) for t in range(0, DAY, 600) for a in range(accounts)]
    requests += [
        (t, f"shop {s}", 20) for s in range(50) for t in rng.uniform(0, DAY, rng.poisson(5))
    ]
    stolen, shops = 0, []
    for now, key, n in sorted(requests):
        if key.startswith("shop"):
            shops.append(limiter is None or limiter.allow(key, now, n))
        elif stolen < 3_000 and (limiter is None or limiter.allow(key, now, n)):
            stolen += n
    return stolen, np.mean(shops), 20 * len(shops)


limits = {
    "none": lambda: None,
    "bucket": lambda: TokenBucket(300 / DAY, 100),
    "window": lambda: SlidingWindow(300, DAY),
    "global": lambda: GlobalLimit(TokenBucket(6_000 / DAY, 500)),
}
print("in one day: the thief's answers (of 3,000), and the share of the shops' requests answered")
print("accounts", *(f"{name:>15}" for name in limits))
print(" " * 8, *("   thief   shops" for _ in limits))
needed = {}
for accounts in (0, 1, 2, 5, 9, 10):
    days = {name: one_day(make(), accounts) for name, make in limits.items()}
    print(f"{accounts:8}", *(f"{stolen:8,} {shops:6.1%}" for stolen, shops, _ in days.values()))
    for name in ("bucket", "window"):
        if days[name][0] == 3_000:
            needed.setdefault(name, accounts)
refused = 1 - days["global"][1]
print(f"The shops ask for {days['none'][2]:,} answers.")
print(
    f"Your guess: {my_accounts}, and {my_refused}.\n"
    f"Measured: {needed.get('bucket')} past the bucket, {needed.get('window')} past the window, "
    f"and {refused:.0%} refused."
)

# %% [markdown]
# And how good is a clone that learns from a given number of answers?

# %% provided="by_answers"
# Trains 18 more clones: about ten seconds.
COUNTS = (300, 600, 1_500, 3_000)
with progress.bar("Training 18 clones", 18):
    worth = {
        "soft thief": {n: undefended(n, "soft") for n in COUNTS},
        "label thief": {n: undefended(n, "hard") for n in COUNTS},
    }
for n in COUNTS:
    print(f"{n:5,} answers:", ", ".join(f"{thief} {line[n]}" for thief, line in worth.items()))
plots.curves(
    worth,
    title="Fidelity against the number of answers (shapes, three seeds)",
    xlabel="answers",
    ylabel="fidelity",
    log_x=True,
    marks={"chance": 0.1},
)

# %% [markdown]
# **Explain it before you open the next fold.** The global limit allows more answers a day than the shops need. Why does
# it hurt them?
#
# <details><summary><b>Read the result</b></summary>
#
# Bucket and window hold one account at 350 and 300 answers, and hardly a shop notices: the bucket refuses .4 % of
# their requests, and the window none. (The bucket gives 100 at once, and not quite 300 more flow back by the thief's
# last request: of requests of fifty, seven get through.) Nine accounts get everything past the bucket in one day, and
# ten past the window, because the limiter looks at one account at a time, and none gets more than its own share.
# (They do not look like shops: behind the bucket, each asks every ten minutes and is refused most of the time. A
# limiter does not count that; somebody who reads the log could.)
#
# Against the global limit, more accounts hardly help. Without a thief it refuses no shop (the row of 0 accounts).
# But the shops ask for 5,560 of the 6,500 answers that it can give on this day (500 at once, and 6,000 that flow
# in), and the thief asks again and again and empties the common bucket. The thief gets 2,350 answers, and on this
# random day one in four of the shops' requests is refused.
#
# </details>
#
# **Explain it before you open the next fold.** A thief with one account gets 300 answers on the first day. What share
# of the fidelity that 3,000 answers give do they have by then? (The axis of the answers is logarithmic.)
#
# <details><summary><b>Read the result</b></summary>
#
# The soft thief, who trains for as many steps as with 3,000 answers, reaches .521 at the left end of the curves, and
# .678 at the right end: that is about three quarters, after a tenth of the queries. (Lab 2's curve ends higher: it
# goes on to 5,000 answers, and its clones train for 790 steps, these for 470.) If the service sends labels only, the
# limit leaves a thief .367 on the first day; on the tenth they have 3,000 labels, and .634. The second 300 answers
# raise the soft thief from .521 to .592; the last 1,500 raise them from .633 to .678, by less.
#
# </details>

# %% [markdown]
# **Playground.** You set the limit for each account, the thief chooses the number of accounts. How good is their clone
# on each day? Between the numbers of answers that were measured above, the figure draws straight lines. It begins with
# the day on which 300 answers are reached. Its title says what share of the shops' requests the limit refuses: which
# limits can you choose at all?

# %% provided="playground"
from trickster.playground import Control, playground

DAYS = range(1, 31)


@cache
def refused_to_shops(limit):
    """Share of the shops' requests that a window of `limit` a day refuses, over ten days."""
    days = [one_day(SlidingWindow(limit, DAY), accounts=0, seed=seed) for seed in range(10)]
    return 1 - np.mean([answered for _, answered, _ in days])


def after_days(limit, accounts):
    """Fidelity of the soft thief's clone, day by day, until 3,000 answers are collected."""
    measured = worth["soft thief"]
    logs, means = np.log(COUNTS), [measured[n].mean for n in COUNTS]
    answers = {day: min(3_000, day * limit * accounts) for day in DAYS}
    line = {
        day: bootstrap_interval([np.interp(np.log(n), logs, means)])
        for day, n in answers.items()
        if n >= COUNTS[0]
    }
    days = math.ceil(3_000 / (limit * accounts))
    theft = f"3,000 answers: {days} days" if days > 1 else "3,000 answers: one day"
    many = "one account" if accounts == 1 else f"{accounts} accounts"
    return plots.curves(
        {f"{many}, {limit:,} answers a day each": line},
        title=f"{theft}. Requests refused to shops: {refused_to_shops(limit):.1%}",
        xlabel="day",
        ylabel="fidelity",
        marks={"chance": 0.1},
    )


playground(
    after_days,
    limit=Control(
        "answers a day for each account", (100, 200, 300, 500, 1_000), show="{:,}".format
    ),
    accounts=Control("accounts", (1, 2, 3, 5, 10, 30)),
)

# %% [markdown]
# <details><summary>What to expect</summary>
#
# For the thief, limit and accounts count only through their product, and accounts are cheap. With a limit of 100,
# one account needs a month for 3,000 answers (though most of the fidelity comes in the first week), and 30 accounts
# need a day. But 100 is what a shop sends on an average day, and on busier days it is refused: 18.6 % of all requests.
# With 200 hardly any shop is refused, with 300 none in these ten days, and ten accounts then need one day.
# </details>

# %% [markdown]
# ## The price of a stolen model
#
# (Three minutes, to read and run.) A limit does not prevent a theft; it sets its price, in days, money and
# accounts. The owner can compare that price with what the model is worth. Say that an answer costs .01 dollars and
# an account 5. Ten accounts then pay 80 dollars for 3,000 answers.
#
# > **Work it out first.** The model cost 20,000 to make. What would opening an account have to cost so that this
# > theft costs as much? Or, if accounts stay at 5, what would an answer have to cost?

# %%
my_signup, my_answer = "no guess yet", "no guess yet"  # for example 100, and .1


# %% provided="prices"
def price_of_theft(queries, accounts, per_day, price, signup=0.0):
    """Days and money that `queries` answers cost a thief with this many accounts.

    per_day : answers that one account gets in a day.
    price, signup : of one answer, and of opening one account.
    Returns (days, money); a day that has begun counts whole.
    """
    return math.ceil(queries / (accounts * per_day)), queries * price + accounts * signup


for accounts in (1, 2, 5, 10):
    days, money = price_of_theft(3_000, accounts, per_day=300, price=0.01, signup=5.0)
    print(f"3,000 answers, accounts {accounts:2}: days {days:2}, money {money:6.2f}")
print(f"what they buy: a fidelity of {worth['soft thief'][3_000]}")
signup, answer = (20_000 - 3_000 * 0.01) / 10, (20_000 - 10 * 5) / 3_000
print(
    f"Your guess: {my_signup}, or {my_answer}. "
    f"Computed: {signup:,.0f} for an account, or {answer:.2f} for an answer."
)
days, money = price_of_theft(3_000, accounts=1, per_day=300, price=0.01, signup=signup)
print(f"with a single account at that price: days {days}, money {money:,.0f}")

# %% [markdown]
# <details><summary><b>Read the result</b></summary>
#
# No shop would pay 6.65 for an answer, which is 665 a day; nor 1,997 to open an account, which is what it pays for
# more than five years of answers. And it would stop only a thief in a hurry: with accounts at 1,997, a patient one
# opens a single account, waits ten days and pays 2,027. So dear accounts buy the owner time, and hardly money. A
# limit makes a theft slower and slightly more expensive. It protects the model only where even one account is hard to
# get, or where answers are worth that much to a customer. And what the thief buys is not the model but a clone with a
# fidelity of .678.
#
# </details>

# %% [markdown]
# ## Exercise 5: which mechanism works?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 24 minutes | 2 + 2 + 2 |
#
# In lab 2 you met a public demonstration called *ML05:2023 Model Theft*, after an entry in a list by OWASP. (The
# entry itself is about access to a model's parameters.) In front of a random forest it puts five mechanisms, which
# act in this order:
#
# - a **rate limit**: after 150 queries of a client, four out of five are refused;
# - **noise**: N(0, .2) on the probabilities, which are then clipped to [.01, .99] and normalised;
# - **rounding** to one decimal;
# - **hard labels**: with probability .4, the answer is the one-hot of the *true* argmax;
# - **renormalising**: each row is divided by its sum.
#
# It reports one number for all five together, from one run. Its thief uses only the largest class of each
# answer. Which of the five does the work? An *ablation* finds out: run the experiment with nothing, with each
# mechanism alone and with all of them, each time with the same seeds. `DemoB(("noise",)).run(seed)` is one run
# with the noise alone.
#
# > **Predict.** Which of the five takes most from the thief? And which take exactly nothing?

# %%
my_mechanisms = "no guess yet"  # the strongest; those that do nothing


# %% solution="ablation"
def ablation(run, mechanisms, seeds):
    """Every run with nothing, with each mechanism alone, and with all of them.

    run : a function of (switched_on, seed); switched_on is a tuple of mechanisms. It returns a
        dictionary from names to measurements.
    Returns a dictionary from "none", each mechanism's name and "all" to the list of what run
    returned, one for each seed, in the order of the seeds.
    """
    ### BEGIN SOLUTION
    conditions = {"none": ()} | {name: (name,) for name in mechanisms}
    conditions["all"] = tuple(mechanisms)
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}
    ### END SOLUTION


# %% test="ablation_test" points=2
lab4.ablation(ablation)

# %% [markdown]
# <details><summary>Hint</summary>
#
# First make a dictionary from names to tuples: the empty tuple for "none", <code>(name,)</code> for each mechanism, and
# all of them for "all". Then make one list of runs for each.
# </details>

# %% provided="run_ablation"
# 140 thefts: about ten seconds.
SEEDS_OF_B = range(20)


@cache  # a condition that is asked for again is not run again
def demo_b(switched_on, seed):
    return DemoB(switched_on).run(seed)


with progress.bar("Running the demo 140 times", 140):
    table = ablation(demo_b, MECHANISMS, SEEDS_OF_B)
print(f"{'20 seeds':16} {'clone':22} {'less than with none':24} {'answered':10} honest")
for name, runs in table.items():
    clone = bootstrap_interval(one["clone_accuracy"] for one in runs)
    paired = zip(table["none"], runs, strict=True)  # the same seed, with and without
    drop = bootstrap_interval(n["clone_accuracy"] - one["clone_accuracy"] for n, one in paired)
    answered = np.mean([one["query_success"] for one in runs])
    honest = np.mean([one["honest_accuracy"] for one in runs])
    print(f"{name:16} {clone!s:22} {drop!s:24} {answered:<10.3f} {honest:.3f}")
pairs = zip(table["all"], table["noise"], strict=True)
more = bootstrap_interval(a["clone_accuracy"] - n["clone_accuracy"] for a, n in pairs)
print(f"the clone of the whole stack is better than that of the noise alone by {more}")
clones = {name: [one["clone_accuracy"] for one in runs] for name, runs in table.items()}
strongest = min(MECHANISMS, key=lambda name: np.mean(clones[name]))
nothing = ", ".join(name for name in MECHANISMS if clones[name] == clones["none"])
print(f"Your guess: {my_mechanisms}. Measured: {strongest}; exactly nothing: {nothing}.")
print(f"without a defence, single clones lie between {min(clones['none']):.2f} and ", end="")
print(f"{max(clones['none']):.2f}")
plots.dots(
    {name: np.subtract(clones["none"], clones[name]) for name in (*MECHANISMS, "all")},
    title="What each mechanism takes, compared with no defence and the same seed (20 seeds)",
    xlabel="drop of the clone's accuracy",
    marks={"no effect": 0},
)

# %% [markdown]
# **How to read the table.** *Clone* is the clone's accuracy on real digits, *answered* the share of the thief's queries
# that got an answer, *honest* the accuracy for honest users. *Less than with none* compares each mechanism with no
# defence, seed by seed. If its interval contains 0, these 20 seeds do not show that the mechanism does anything. The
# line below the table compares *all* with *noise* in the same way. The rate limit costs honest users nothing here only
# because the experiment never refuses them.
#
# **How to read the figure.** Each dot is the drop in one seed, and the line in each row is the mean.
#
# **Explain it before you open the next fold.** For each mechanism that does nothing, ask how it changes the largest
# class of an answer. And why does the row of rounding scatter?
#
# <details><summary>A hint</summary>
#
# Renormalising is the easiest: dividing a row by its sum never changes which class is largest.
# </details>
#
# <details><summary><b>Read the result</b></summary>
#
# "Hard labels" and renormalising never change which class is largest, and this thief uses nothing else. So they do
# exactly nothing: in their rows, all dots are at 0. Rounding does change it, where it makes two classes equal: then the
# first of them wins. That helps some clones and harms others, by up to .10 either way. Over 20 seeds no effect
# shows: -.010 [-.036, .017]. Without any defence, clones lie anywhere from .31 to .54: a single run, such as the
# demonstration's, shows little.
#
# </details>
#
# **The other half of an ablation.** A mechanism can do nothing alone and still matter beside others. So leave each of
# them out of the stack, one at a time, and compare with the whole stack. Clones differ more from seed to seed than
# most mechanisms take, as you have just seen. So what counts is the difference of two runs of the *same* seed.


# %% solution="leave_one_out"
def leave_one_out(run, mechanisms, seeds, what):
    """What each mechanism takes as a part of all of them, seed by seed.

    run : as in `ablation`; here `run(switched_on, seed)[what]` is the measurement that counts.
    mechanisms : the whole stack; in a stack the order matters, so keep it.
    Returns a dictionary from each mechanism's name to a list, one number for each seed in their order: how much
    larger the measurement is without this mechanism than with all of them. A mechanism that helps the thief
    gets negative numbers.
    """
    ### BEGIN SOLUTION
    whole = [run(tuple(mechanisms), seed)[what] for seed in seeds]
    taken = {}
    for name in mechanisms:
        others = tuple(one for one in mechanisms if one != name)
        without = [run(others, seed)[what] for seed in seeds]
        taken[name] = [a - b for a, b in zip(without, whole, strict=True)]
    return taken
    ### END SOLUTION


# %% test="leave_one_out_test" points=2
lab4.leave_one_out(leave_one_out)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Run the whole stack once for each seed, and keep the measurements in a list. For each name,
# <code>tuple(m for m in mechanisms if m != name)</code> is the stack without it. Run that with the same seeds, and
# subtract the lists, number by number: <code>zip</code> puts the runs of the same seed together.
# </details>
#
# > **Predict.** The whole stack protects less than the noise alone. Which mechanism has to be left out to make it
# > stronger?

# %%
my_spoiler = "no guess yet"  # one of the five

# %% provided="left_out"
# 120 more thefts: about eight seconds.
with progress.bar("Running the demo 120 times", 120):
    in_the_stack = leave_one_out(demo_b, MECHANISMS, SEEDS_OF_B, "clone_accuracy")
    pair = [demo_b(("noise", "hard labels"), seed) for seed in SEEDS_OF_B]
changes = {name: bootstrap_interval(values) for name, values in in_the_stack.items()}
for name, change in changes.items():
    others = tuple(m for m in MECHANISMS if m != name)
    clone = bootstrap_interval(demo_b(others, seed)["clone_accuracy"] for seed in SEEDS_OF_B)
    print(f"all but {name:14} clone {clone}   compared with all five {change}")
clone = bootstrap_interval(one["clone_accuracy"] for one in pair)
both = zip(pair, table["noise"], strict=True)
change = bootstrap_interval(a["clone_accuracy"] - b["clone_accuracy"] for a, b in both)
print(f"noise + hard labels    clone {clone}   compared with noise {change}")
both = zip(in_the_stack["noise"], in_the_stack["rate limit"], strict=True)
more = bootstrap_interval(noise - limit for noise, limit in both)
print(f"in the stack, the noise takes more than the rate limit by {more}")
weakest = min(changes, key=lambda name: changes[name].mean)
print(f"Your guess: {my_spoiler}. Measured: {weakest}.")
plots.dots(
    in_the_stack,
    title="What each mechanism takes as a part of all five, with the same seed (20 seeds)",
    xlabel="drop of the clone's accuracy",
    marks={"no effect": 0},
)

# %% [markdown]
# **Your verdict.** In four to eight sentences: which mechanisms work, which do nothing and why, what do honest
# users pay, and for which mechanism? Does any of them weaken the noise? Give numbers with their intervals.

# %% [markdown] written="audit_verdict" points=2
# ### BEGIN SOLUTION
# Noise and rate limit work. Alone, the noise takes more than three times what the rate limit takes, .237 [.203, .271]
# against .073 [.044, .100], and brings the clone from .44 down to .20, less than half. In the stack the two share the
# work, .109 [.078, .140] and .082 [.042, .123], and there 20 seeds show no difference: .027 [-.018, .070]. The whole
# stack is weaker than the noise alone: its clone reaches .24, which is .044 [.008, .080] better. The reason is the
# "hard labels", which send the true argmax in 40 % of the answers and so undo the noise there: added to the noise, they
# make the clone better by .122 [.091, .155], and the stack without them is stronger by .073 [.033, .108]. Alone, hard
# labels and renormalising never change the largest class, which is all the thief uses, so they do exactly nothing.
# Rounding does change it, where two classes become equal, but for better about as often as for worse: -.010 [-.036,
# .017], no effect that 20 seeds can show. The rate limit leaves 60 % of the answers, and what it takes is simply the
# price of having fewer. Honest users pay for the noise, with every query: their accuracy falls from .974 to .902 with
# noise alone, and to .924 with the stack; what the rate limit costs them, this experiment cannot show.
#
# ### BEGIN MARK SCHEME
# One point: noise (or noise and rate limit) is named as what works, at least two of rounding, hard labels and
# renormalising as showing no effect alone, with numbers and intervals, and a reason (the thief uses only the largest
# class; rounding may change it, so "rounding cannot do anything" is wrong). One point: what honest users pay, with
# its number, and that the noise (not the others) takes it; or that hard labels undo the noise, with the number from
# one of the two comparisons. Half points are fine.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## Exercise 6: your stack
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 22 minutes | 5 |
#
# **Idea.** Labels give less away, a limit sets a price, and the misinformation of lab 3 makes the answers to weird
# queries worthless: a query is *weird* if it is unlike every training picture, and its answer is then a lie.
# Combine the ones that earn their place.
#
# **The terms of the service.** A customer sends up to 60 pictures in a request and up to 300 in any 24 hours,
# perhaps in five requests right after each other. All of these are answered. No account gets more than 1,000 answers
# in any 24 hours. Honest accuracy may fall by .015 at most. The same picture gets the same answer, whoever asks,
# whenever, and in whatever batch.
#
# **What the check does.** Customers and thieves use your service at the same time. Their pictures come mixed, from
# many accounts, over weeks.
#
# | part | full points | points |
# |---|---|---|
# | customers are answered | every request | .5 |
# | customers' accuracy | falls by .015 at most | 1 |
# | the same picture, the same answer | always | 1 |
# | one greedy account | gets at most 1,000 answers in 24 hours | .5 |
# | four thieves who do not know how you defend | fidelity of the best falls by .20 (some points from .12) | 1 |
# | a thief who *has read your code* | the fidelity of their best attempt falls by .28 (some points from .15) | 1 |
#
# All thieves keep to the terms and get 3,000 answers. Of the four, one learns from the probabilities, one from the
# labels, one sends 1,000 pictures three times and averages, and one uses a new account every day. The reader of
# your code knows how you mislead, but not which answers are lies: for that they would need the bank and the
# victim's features, which are not in the code. (The check helps them in one respect: it tells them which class
# names are given by more lies than truths.) They try three things: to undo lies that the answers themselves give
# away, to undo lies that do not fit the picture that was sent, and to leave suspicious answers out (in the table,
# *leaves lies out*: those that look or are named like lies; *small loss*: those that a first clone finds unlikely).

# %% [markdown]
# **What you write.** `make_layered` is called once for each service, so that each starts with empty limiters, and
# returns the function that answers. It is given the victim's *features* of its training pictures (the bank) and
# of held-out honest pictures.
#
# <details><summary>From lab 3, ready to use</summary>
#
# - `ood.score_knn(features, bank, k=1)`: for each row the similarity to the most similar training picture;
# - `ood.choose_threshold(scores, share)`: at most that share of the scores lies below it;
# - `defenses.misinform(p)`: the probabilities of each row reversed, so that the least likely class gets the
#   largest one. The answer is a lie, looks confident, and is always the same for the same picture.
# </details>


# %% solution="make_layered"
def make_layered(bank, honest):
    """A fresh service: a function layered(x, posteriors, features, key, now).

    bank : features (m, d) of training pictures. honest : features (h, d) of held-out ones.
    layered gets pictures x (n, c, h, w), the victim's posteriors (n, k) and features (n, d) of
    them, who asks, and when in seconds. It returns answers (n, k), each row a distribution, or
    raises RateLimited(key, n, seconds to wait).
    """
    ### BEGIN SOLUTION
    limit = SlidingWindow(1_000, DAY)
    threshold = ood.choose_threshold(ood.score_knn(honest, bank, k=1), 0.02)

    def layered(x, posteriors, features, key, now):
        if not limit.allow(key, now, len(x)):
            raise RateLimited(key, len(x), limit.retry_after(key, now, len(x)))
        weird = ood.score_knn(features, bank, k=1) < threshold
        answers = np.where(weird[:, None], defenses.misinform(posteriors), posteriors)
        return hard_labels(answers)

    return layered
    ### END SOLUTION


# %% [markdown]
# > **Predict.** A thief with ten accounts keeps to all limits, and learns from whatever they get. Without a defence
# > their clone has a fidelity of .678. What does it reach behind your stack?

# %%
my_fidelity = "no guess yet"  # for example 0.5

# %% test="layered_test" points=5
lab4.layered(make_layered)

# %% [markdown]
# <details><summary>Hint 1: in which order?</summary>
#
# First the limiter, which can refuse a request before any work is done. Then decide which inputs are weird, then
# choose the answers, and at the end reduce what they contain.
# </details>
#
# <details><summary>Hint 2: which limit?</summary>
#
# <code>SlidingWindow(limit, DAY)</code> with a limit between 300 and 1,000 keeps to the terms. A bucket gives
# <code>burst + rate * DAY</code> answers in a day: this sum may not exceed 1,000. The burst must be at least 300,
# since five requests of 60 may come at once, and <code>rate * DAY</code> as well, for a customer who comes back every
# day.
# </details>
#
# <details><summary>Hint 3: each row by itself</summary>
#
# <code>np.where(weird[:, None], lies, truths)</code> takes each row as a whole from one array or the other.
# </details>
#
# <details><summary>Hint 4: the thief who has read your code loses next to nothing</summary>
#
# Lab 3's un-lier found out which answers were reversed and reversed them back. They needed all ten numbers for
# that. Which of them do your customers need?
#
# A thief who also looks at the pictures needs only one thing: a lie that tells which class was behind it. If you
# always name, say, the next class in the list, they undo your lies; even if you send only labels, they undo some. And
# if your lies name only a few classes, they leave out the answers that name these.
# </details>

# %% [markdown]
# ## What each layer adds
#
# (Fifteen minutes, to read and run.) The thief with ten accounts now meets four services: no defence, labels alone,
# lab 3's lies alone, and your stack. (The check has its own pools and customers, so its numbers differ a little from
# those below. The folds are for reversed answers, sent as labels: if you lie in another way, your row differs. The
# experiment after this one always reverses.)

# %% provided="layers"
# Trains 6 clones: about five seconds.
half = len(dataset.x_test) // 2
bank = scenario.victim.features(dataset.x_train)
honest = scenario.victim.features(dataset.x_test[:half])
held_out = scenario.victim.features_and_posteriors(dataset.x_test[half:])
threshold = ood.choose_threshold(ood.score_knn(honest, bank, k=1), 0.02)


def ask_all(answer, x, features, posteriors):
    """Send all pictures, sixty in a request, five requests from each account."""
    parts = []
    for i in range(0, len(x), 60):
        one = slice(i, i + 60)
        key = f"account {i // 300}"
        parts.append(answer(x[one], posteriors[one], features[one], key, now=float(i)))
    return np.concatenate(parts).astype(np.float32)


def stolen_from(make):
    """Fidelity of the ten-account thief, one value for each seed."""
    values = []
    for seed in SEEDS:
        answers = ask_all(make(), pool(seed), *scenario.victim.features_and_posteriors(pool(seed)))
        values.append(fidelity_of(clone_of(pool(seed), answers, "soft", seed)))
    return values


def lies_only(x, posteriors, features, key, now):
    weird = ood.score_knn(features, bank, k=1) < threshold
    return np.where(weird[:, None], defenses.misinform(posteriors), posteriors)


stacks = {
    "no defence": lambda: lambda x, posteriors, features, key, now: posteriors,
    "labels only": lambda: lambda x, posteriors, features, key, now: hard_labels(posteriors),
    "lies only": lambda: lies_only,
    "your stack": lambda: make_layered(bank, honest),
}
# The first two thefts are known: who gets labels only is a label thief.
by_stack = {"no defence": undefended(3_000, "soft"), "labels only": undefended(3_000, "hard")}
found = {}
with progress.bar("Training 6 clones", 6):
    for name in ("lies only", "your stack"):
        try:
            found[name] = stolen_from(stacks[name])
        except NotImplementedError:
            if name != "your stack":
                raise
            print("Your stack is not written yet: its row is missing.")
            del stacks[name]
by_stack |= {name: bootstrap_interval(values) for name, values in found.items()}
for name, make in stacks.items():
    given = ask_all(make(), dataset.x_test[half:], *held_out)
    right = evaluation.accuracy(given, dataset.y_test[half:])
    print(f"{name:12} fidelity {by_stack[name]}   honest accuracy {right:.3f}")
if "your stack" in found:
    more = np.subtract(found["lies only"], found["your stack"])
    print("Beyond the lies alone, your stack takes, seed by seed:", *(f"{d:.3f}" for d in more))
    print(f"Your guess: {my_fidelity}. Measured: {by_stack['your stack'].mean:.3f}.")

# %% [markdown]
# **Explain it before you open the next fold.** Which layer did the work?
#
# <details><summary><b>Read the result</b></summary>
#
# Not the limits: each of the ten accounts behaves like a customer. The lies: alone they take the fidelity from .678
# to .288, and cost honest users less than half a point. Labels alone take .044. Added to the lies they leave .264.
# The brackets overlap, but the runs are pairs: seed by seed the labels take a little more, .031, .022 and .017.
# Against this thief that is hardly worth having: *what* the answers to weird queries say matters more than how much
# they contain. The next thieves know more.
#
# </details>
#
# **And a thief who knows?** The thieves that you trained did not know that some answers are lies; only the check's
# reader of your code did. Here are three who know, each in their own way:
#
# | thief | knows | does |
# |---|---|---|
# | un-lier (lab 3) | how the service misleads | notices which answers are reversed, reverses them back |
# | small loss | that there are lies | trains a first clone on all answers, keeps the half that it finds likeliest |
# | 100 real pictures | that lies are for weird queries | sends pictures of clothes, and nothing else |
#
# Behind labels the un-lier has no ten numbers to reverse. (The check's reader also tried to renumber the classes, and
# found no way that fits these lies.) The *oracle* is no thief: it is told which answers are lies, and trains on the
# others.
#
# > **Predict.** What does the oracle reach behind lies and labels together: as much as behind lies alone? And a thief
# > whose 100 pictures are real: more than the oracle, or less?

# %%
my_oracle = "no guess yet"  # as much, a little less, or far less
my_real = "no guess yet"  # more or less

# %% provided="who_knows"
# Trains 27 clones: about fifteen seconds.
# For each service: what becomes of an answer, and a thief who knows.
lying = {
    "lies only": (lambda p: p, "un-lier"),
    "lies as labels": (hard_labels, "small loss"),
}
runs = {name: {"does not know": [], thief: [], "oracle": []} for name, (_, thief) in lying.items()}
collected = {}  # for each seed: pictures, answers before they become labels, which are lies
REAL = "100 real pictures"  # which neither the victim nor the threshold has seen
real = {"labels only": [], "lies as labels": []}
with progress.bar("Training 27 clones", 27):
    for seed in SEEDS:
        features, posteriors = scenario.victim.features_and_posteriors(pool(seed))
        lies = ood.score_knn(features, bank, k=1) < threshold
        told = np.where(lies[:, None], defenses.misinform(posteriors), posteriors)
        collected[seed] = pool(seed), told, lies
        for name, (rung, knows) in lying.items():
            got = attacks.TrainingSet(pool(seed), rung(told).astype(np.float32), seed=seed)
            sets = {"does not know": got, "oracle": adaptive_attacks.oracle(got, lies)}
            if knows == "un-lier":
                sets[knows] = adaptive_attacks.unlied(got, [defenses.misinform], seed=seed)
            else:
                sets[knows] = adaptive_attacks.small_loss(got)
            for thief, one in sets.items():
                clone = clone_of(one.x, one.answers, "soft", seed)
                runs[name][thief].append(fidelity_of(clone))
        own = half + np.random.default_rng(seed).choice(half, 100, replace=False)
        x, p = dataset.x_test[own], scenario.victim.posteriors(dataset.x_test[own])
        weird = ood.score_knn(scenario.victim.features(x), bank, k=1) < threshold
        answers = {
            "labels only": p,
            "lies as labels": np.where(weird[:, None], defenses.misinform(p), p),
        }
        for name, given in answers.items():
            clone = clone_of(x, hard_labels(given).astype(np.float32), "soft", seed)
            others = np.delete(np.arange(2 * half), own)
            agree = evaluation.fidelity(clone.labels(dataset.x_test[others]), victim_says[others])
            real[name].append(agree)
        rows = {picture.tobytes(): row for row, picture in enumerate(got.x)}
        kept = [rows[picture.tobytes()] for picture in sets["small loss"].x]
        true, at_best = np.mean(~lies), np.sum(~lies) / len(kept)
        print(
            f"seed {seed}: {true:.0%} of the answers are true, and {np.mean(~lies[kept]):.0%} of "
            f"the half that small loss keeps\n  (at best {at_best:.0%}); "
            f"{weird.mean():.0%} of the real pictures are weird"
        )
stolen = {"no defence": {"does not know": by_stack["no defence"]}}
stolen["labels only"] = {"does not know": by_stack["labels only"]}
stolen |= {
    name: {thief: bootstrap_interval(values) for thief, values in thieves.items()}
    for name, thieves in runs.items()
}
for name, values in real.items():
    stolen[name][REAL] = bootstrap_interval(values)
for name, thieves in stolen.items():
    for thief, value in thieves.items():
        print(f"{name:18} {thief:18} {value}")
alone, both = (stolen[name]["oracle"].mean for name in lying)
less = np.subtract(runs["lies only"]["oracle"], runs["lies as labels"]["oracle"])
print("From the oracle, the labels take, seed by seed:", *(f"{d:.3f}" for d in less))
print(f"Your guess: {my_oracle}. Measured: {both:.3f} behind both, {alone:.3f} behind lies alone.")
owner = stolen["lies as labels"][REAL].mean
print(
    f"Your guess: {my_real}. Measured: {owner:.3f} with 100 real pictures, {both:.3f} the oracle."
)
days, money = price_of_theft(100, accounts=1, per_day=300, price=0.01, signup=5.0)
print(f"the 100 answers, with one account: days {days}, money {money:.2f}")
plots.bars(
    {
        thief: {name: thieves[thief] for name, thieves in stolen.items() if thief in thieves}
        for thief in ("does not know", "un-lier", "small loss", "oracle", REAL)
    },
    title="Four services, and thieves who know different things (three seeds)",
    ylabel="fidelity",
    chance=0.1,
    numbered=True,
)

# %% [markdown]
# <details><summary><b>Read the result</b></summary>
#
# Where there are no lies, there is nothing to know about them: labels alone leave a thief with shapes .634. Lies
# alone take the fidelity down to .288 as long as the thief does not know. The un-lier is back at .661, nearly as much
# as without a defence. Both together leave .264. A thief who knows only *that* some answers are lies, and leaves out
# what a first clone finds unlikely, gets .231. The oracle loses a little to the labels: it gets .615 in place of
# .661, and less with each of the three seeds, by .067, .057 and .015.
#
# Why reverse, and not simply name the next class? Such a lie reveals the class behind it. In 200 runs of the check,
# labels of such lies took .16 of fidelity from the reader of the code on average, and labels of reversed answers .42.
#
# Behind the whole stack, the thief with real pictures does best. Lies are for weird queries, and of their 100 at most
# one is weird: their labels give .720 (without lies .725). That costs 6, takes one day, and is at least as much as
# 3,000 shapes give without any defence (.678). What the stack does take from this thief is the gain from adding
# shapes. In the course's own measurements, over five seeds, 100 real pictures mixed with shapes gave .809 without a
# defence and .591 behind the stack; 100 alone gave .748 and .715.
#
# </details>
#
# **Explain it before you open the next fold.** Of what small loss keeps, a larger share is true than of all answers.
# Why is the clone no better for it?
#
# <details><summary><b>Read the result</b></summary>
#
# The share rises only from about 42 to about 50 %, and the other half of the answers is gone. A perfect choice would
# have reached 83 to 85 %: half of the answers are kept, and fewer are true. Small loss counts on truths being the
# majority; here the lies are, and the first clone learns many of them as readily as the true ones (why just these, we
# did not measure). *On their own, labels are a poor defence against a thief with many answers. Added to lies they are
# a good one, at least against our thieves who have only shapes: a service that sends labels keeps the very numbers
# that the un-lier needed.* This is what layers can do that none of them can do alone.
#
# </details>
#
# **Two warnings.**
#
# - All thieves of this lab train the same small clone, and briefly: for ten epochs of 3,000 answers. Longer training
#   gets more out of the same answers. The course's own measurements, over five seeds and with ten accounts:
#
#   | | no defence | lies as labels | with small loss |
#   |---|---|---|---|
#   | this lab's clone | .693 | .254 | .233 |
#   | the same, 80 epochs | .764 | .392 | .233 |
#   | lab 2's clone, which sees coarser pictures, 80 epochs | .746 | .388 | .242 |
#
# - It has not been shown that no thief with shapes can do better. The oracle says how much there is to win by leaving
#   the lies out: it gets .615. The starred section below tries one more way, and lab 5 goes on from here.

# %% [markdown]
# ## Exercise 7: advise the owner
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 15 minutes | 2 |
#
# *Ostrich & Daughters* sell answers at .01 each to some 50 shops, which send about 100 pictures a day each. An
# account costs 5. The model cost 20,000 to make. The customers only ever use the name of the class. The engineer
# proposes: "labels only, one decimal, 300 a day for each account, done."
#
# In six to ten sentences: what do you recommend, and what do you expect of each part? What will it cost honest
# customers, in accuracy and refused requests? What will a theft then cost, in days and money, with 3,000 shapes, and
# with 100 real pictures? And what will your recommendation *not* stop? One number from this notebook for each claim is
# enough.

# %% [markdown] written="recommendation" points=2
# ### BEGIN SOLUTION
# Send labels only, since the customers need no more: alone this takes little from a thief with
# many answers (.634 instead of .678 with 3,000), more from one with few (.367 instead of .521 with 300), and
# nothing from one who uses labels anyway. Leave out the rounding: after labels it does nothing, and before them
# ties change the class (2.1 % of the shapes). Keep a limit of 300 a day for each account: it refuses none of the
# shops' requests, and one account then needs 10 days and 35 dollars for 3,000 answers. Do not rely on it, since ten
# accounts need one day and 80, which is little for a model of 20,000; and do not set a global limit, which on the
# day of a theft refused a quarter of the shops' requests. What protects the model is to mislead on weird queries,
# with a threshold that flags 2 % of held-out honest pictures: the same 3,000 answers then give a fidelity of .264
# instead of .678, and honest accuracy falls from .889 to .885. A thief who trains eight times as long gets more,
# .392 (undefended .764, both in the course's own measurements). The misleading label must not reveal the class
# behind it: if it always names the next class, a thief who looks at the pictures undoes a part of the lies. Here
# the labels earn their place: with probabilities, a thief who knows how the service misleads gets .661; behind
# labels, knowing that there are lies gave no more (.231 with small loss). This will not stop a thief who owns real
# pictures of clothes, since those are not weird: the labels of 100 of them give .720, and cost 6 with one account,
# on the first day. Nor will it stop one who finds a way to tell which answers are lies: the oracle gets .615.
#
# ### BEGIN MARK SCHEME
# One point: a recommendation with at least three numbers from the notebook that support it, among them the price of a
# theft in days and money (of 3,000 shapes, or 6 and one day for 100 real pictures) and what the recommendation costs
# honest customers. One point: says what does not work (rounding, labels, limits against several accounts, the outage
# of a global limit; two of them) and what the recommendation cannot stop (real pictures; longer training, which
# brings .392; a thief who could tell which answers are lies, as the oracle is told). "The un-lier undoes it" is wrong
# where labels only are sent. Half points are fine.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## ★ If you have time: what a lie looks like
#
# Ungraded. Small loss did not ask what is *known* of a lie. The code says it: a lie names the class that the victim
# finds least likely. So let the clone explain both kinds of answers. If it gives the classes of a picture the
# probabilities $q = \mathrm{softmax}(z)$, a true answer names class $y$ with probability $q_y$; a lie names the least
# likely class, for which $\mathrm{softmax}(-z)$ is a smooth stand-in. With a share $r$ of lies, train the clone to
# make
#
# $$(1 - r)\,\mathrm{softmax}(z)_y + r\,\mathrm{softmax}(-z)_y$$
#
# large for every answer (a *noise model*; Patrini et al. correct the loss in a similar way). The thief has to guess
# $r$. The next cell first prints the loss (the negative mean log probability of the answers) for two networks that nobody
# has to train: the victim, and its *mirror image*, which has $-z$ for $z$. It does so with $r = .4$ and with $r = .58$,
# which is about the true share. Then it trains clones on the labels from behind the lies, with $r = .58$ and from two
# starts: from random weights, as a thief would; and from a network that has learnt from the true answers alone, which
# is cheating, but tells you whether this clone could be any better.
#
# > **Predict.** Does the noise model get more than small loss did, from random weights? And from the truths?

# %%
my_noise_model = "no guess yet"  # yes or no, twice

# %% provided="noise_model"
# Trains 9 clones: about six seconds.
from copy import deepcopy

import torch

from trickster import models


def either_kind(logits, labels, r):
    """The loss of the noise model: the negative mean log probability of the answers."""
    rows = torch.arange(len(labels))
    true = torch.log_softmax(logits, dim=1)[rows, labels]
    lie = torch.log_softmax(-logits, dim=1)[rows, labels]
    return -torch.logaddexp(true + math.log(1 - r), lie + math.log(r)).mean()


def loss_on(logits, labels, r):
    """The same for arrays."""
    return either_kind(torch.from_numpy(logits), torch.from_numpy(labels), r).item()


def learn_both_kinds(start, x, labels, seed, r=0.58):
    """A clone that begins with the weights of the network `start` and trains on the noise model."""
    network = deepcopy(start)
    loss = partial(either_kind, r=r)
    training.fit(network, x, labels, lr=3e-3, seed=seed, loss_of=loss)
    return models.Classifier(network)


told_labels = {seed: hard_labels(told).argmax(axis=1) for seed, (_, told, _) in collected.items()}
for r in (0.4, 0.58):
    losses = []
    for seed, labels in told_labels.items():
        logits = scenario.victim.logits(pool(seed))
        losses.append([loss_on(logits, labels, r), loss_on(-logits, labels, r)])
    victim_s, mirror_s = np.mean(losses, axis=0)
    print(f"r = {r:4}: loss of the victim {victim_s:.2f}, of its mirror image {mirror_s:.2f}")


def told_the_truths(seed, epochs=10):
    """A network that has learnt from the true answers alone: no thief has it."""
    x, told, lies = collected[seed]
    truths = hard_labels(told)[~lies]
    return attacks.train_clone(x[~lies], truths, labels="hard", epochs=epochs, seed=seed).network


starts = {
    "random weights": lambda seed: models.mlp(pool(seed).shape[1:], 10, seed=seed),
    "the truths": told_the_truths,
}
with progress.bar("Training 9 clones", 9):
    for name, start in starts.items():
        before, after, losses = [], [], []
        for seed, labels in told_labels.items():
            first = start(seed)
            clone = learn_both_kinds(first, pool(seed), labels, seed)
            before.append(fidelity_of(models.Classifier(first)))
            after.append(fidelity_of(clone))
            losses.append(loss_on(clone.logits(pool(seed)), labels, 0.58))
        print(f"from {name:14} (fidelity {np.mean(before):.3f}): ", end="")
        print(f"fidelity {bootstrap_interval(after)}, loss {np.mean(losses):.2f}")
small = stolen["lies as labels"]["small loss"]
print(f"Your guess: {my_noise_model}. Small loss: fidelity {small}.")

# %% [markdown]
# **Explain it before you open the next fold.** Which network does each $r$ prefer, the victim or its mirror image? And
# which is to blame for the poor clone from random weights: the loss, the search, or the small network?
#
# <details><summary><b>Read the result</b></summary>
#
# With $r = 1/2$ the two explain the labels equally well. With $r = .4$, while 58 % of the answers are lies, the
# mirror image even explains them better than the victim (loss 1.01 against 1.08): such a thief looks for the wrong
# network. With $r = .58$ the victim explains them better, 1.01 against 1.07, so the answers do tell the two apart.
# And yet the clone that starts from random weights gets only .194. The small network is not to blame: started from
# the truths (.556, after few steps), it ends at .613, with a loss of 1.12 instead of 1.23. So this network has better
# weights, by the loss as well, and from random ones the search does not come near them. That does not acquit the
# loss. It prefers the victim to its mirror image, but only by .06. It also prefers this good clone to this bad one;
# whether it prefers it to every bad one is the next question.
#
# </details>
#
# Can you do better? `collected[seed]` holds the pictures, the answers before they become labels, and which of them are
# lies; `told_labels[seed]` holds the labels. A thief sees only these; use the others only to measure how well a method
# sorts.
#
# <details><summary>Where to begin</summary>
#
# What remains to be found is a start that a thief could have, and a way to choose among several. Try more random
# weights, the clone of a thief who believes everything, or that clone's mirror image (change the sign of its last
# layer). Does the smallest loss find the best clone, on the answers that it has learnt from or on answers kept aside?
# </details>
#
# <details><summary>What to expect</summary>
#
# We kept 500 answers aside and trained on the other 2,500, so that the losses differ from those above; *the truths*
# were learnt for longer. On the answers that the clones have learnt from, the smallest loss does not find the best:
# clones that started from the mirror image of the believing clone ended with a smaller loss (1.07) than those that
# started from the truths (1.08 to 1.12), and with fidelities from .16 to .35. On the 500 kept aside it does. With each
# seed, the clone from the truths has the smallest loss there, though once by only .01. Of the starts that a thief
# could have, it chooses the mirror image, which is no better on average than to believe everything. So a good start is
# missing above all.
# </details>

# %%
# Your experiment.

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.**
# - Rounding to one decimal took nothing that three seeds could show, and bending, at its default strength and
#   unrounded, nothing from a thief who knows the formula.
# - Sending only labels takes little from a thief with many answers (.634 instead of .678 with 3,000) and much from
#   one with few (.367 instead of .521 with 300). (A thief who solves equations is another matter: lab 6.)
# - A limit sets a price, and a thief with enough accounts pays it and is done within a day. A limit for everybody
#   together makes honest customers pay.
# - A stack of defences can be weaker than its strongest part, and it can be much stronger: labels are a poor defence
#   on their own, and a good one when added to lies, at least against this lab's thieves who have only shapes: .264 is
#   left of .678, and .392 of .764 if they train eight times as long (the course's own measurement).
# - Against a thief who does not know the defence, *what* the answers to weird queries say matters more than how
#   much they contain: lies alone leave .288, labels alone .634. Against one who knows it, how much they contain
#   decides: from lies with all ten numbers the un-lier gets .661; sent as labels, the same lies leave .264 to a
#   thief who believes them, and .231 to small loss.
#
# **Refuted.** That this stack stops every thief. A hundred real pictures, which cost 6 and one day, give .720: at
# least as much as 3,000 shapes give without any defence (.678).
#
# **Not shown.**
# - That lies sent as labels cannot be used. Two ways to do it failed: small loss, and the noise model of the starred
#   section. The latter is not hopeless: its loss prefers the victim to its mirror image, and the clone does well when
#   it starts from the truths. But training from random weights came nowhere near that, nor did any start that we
#   tried and that a thief could have.
# - What else an owner could do. Nobody here tried to find accounts that belong together, as real services do, or
#   thieves by the distances between their queries (Juuti et al.).
#
# Three seeds give rough intervals.

# %% [markdown]
# **Is it allowed?** Terms of service usually forbid both training a competing model on the answers and opening
# accounts to get around a limit. Try them only on services that are your own, or whose owner has agreed. Owners have
# duties too: limits and deliberately wrong answers belong in the terms that customers agree to.

# %% [markdown]
# **Papers.**
# - T. Orekondy, B. Schiele and M. Fritz, [Knockoff Nets](https://arxiv.org/abs/1812.02766), CVPR 2019: what
#   truncated answers take from a thief.
# - T. Lee, B. Edwards, I. Molloy and D. Su, [Defending Against Neural Network Model Stealing Attacks Using
#   Deceptive Perturbations](https://arxiv.org/abs/1806.00054), IEEE Security and Privacy Workshops 2019: reverse
#   sigmoid.
# - S. Kariyappa and M. K. Qureshi, [Defending Against Model Stealing Attacks with Adaptive
#   Misinformation](https://arxiv.org/abs/1911.07100), CVPR 2020.
# - M. Juuti, S. Szyller, S. Marchal and N. Asokan, [PRADA](https://arxiv.org/abs/1805.02628), EuroS&P 2019:
#   detecting thieves by their queries.
# - M. Tang et al., [ModelGuard](https://www.usenix.org/conference/usenixsecurity24/presentation/tang), USENIX
#   Security 2024: thieves who adapt to such defences.
# - B. Han et al., [Co-teaching](https://arxiv.org/abs/1804.06872), NeurIPS 2018: small loss, with two networks.
# - G. Patrini, A. Rozza, A. Menon, R. Nock and L. Qu, [Making Deep Neural Networks Robust to Label
#   Noise](https://arxiv.org/abs/1609.03683), CVPR 2017: the starred experiment.
# - J. R. Douceur, [The Sybil Attack](https://doi.org/10.1007/3-540-45748-8_24), IPTPS 2002.
