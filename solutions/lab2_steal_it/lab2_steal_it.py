# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Lab 2: Steal it
#
# [Open this lab in Colab]({{colab_url}})
#
# **You will**
# - change sides, and clone a model of which you see nothing but answers;
# - measure a theft: accuracy, fidelity, and how sure you are of either;
# - find out what a thief needs most, and what is no use at all;
# - audit a public demonstration of a defence, and judge it.
#
# **Time** about 80 minutes. **Points** 20. **You need** lab 1's ideas, not its code; no GPU.
#
# **The story.** *Ostrich & Daughters* rent out their classifier: ten probabilities for a picture,
# paid by the query. You own a rival shop, no labelled clothes, and a budget of a few thousand
# queries. You may send whatever pictures you like.
#
# **Stuck?** Let the library do it, for no points there, and go on:
# `from trickster.attacks import collect` in exercise 1;
# `attacks.train_clone(x, answers, labels=labels, epochs=epochs, seed=seed).posteriors`, after
# `from trickster import attacks`, as the body of exercise 2; and
# `evaluation.fidelity(clone(x), victim(x))`, after `from trickster import evaluation`, as that of
# exercise 3. Each refuses to answer while the test of its own exercise runs, and works everywhere
# else; the library's complete thieves, `attacks.steal` and `attacks.steal_jacobian`, refuse in
# exercises 2 and 5.

# %% provided="setup"
{{setup}}

# %% provided="imports"
from functools import cache

import numpy as np

from trickster import data, models, plots, training
from trickster.api import BudgetExceeded
from trickster.checks import lab2
from trickster.demos import DemoB
from trickster.evaluation import accuracy, bootstrap_interval
from trickster.scenario import Scenario

scenario = Scenario("{{scenario}}")
dataset = scenario.data

# %% [markdown]
# ## The threat model
#
# Before you attack or defend anything, say who can do what:
#
# | | |
# |---|---|
# | **goal** | a *clone* that names the same class as the *victim*, on the pictures that customers send |
# | **sees** | posteriors for each picture sent; no weights, no gradients, no training data |
# | **owns** | pictures that are *not* the victim's: noise, scribbles, photographs (the *query pool*) |
# | **pays** | by the query; the *query budget* is what the theft costs |
# | **knows** | that there are ten classes, and the size of a picture |
#
# The thief holds a `Client`. It has a method `query(pictures)` and two numbers, `used` and
# `remaining`. A request that would go over the budget is refused whole.

# %% provided="client"
api = scenario.api(budget=100)
thief = api.client("thief")
first_pictures = scenario.pool("shapes", 60, seed=0)
first_answers = thief.query(first_pictures)
print("answers:", first_answers.shape, " used:", thief.used, " remaining:", thief.remaining)
try:
    thief.query(first_pictures)
except BudgetExceeded as refusal:
    print(refusal)

# %% [markdown]
# Four pools that anybody can make without a single piece of clothing:

# %% provided="pools"
kinds = {name: scenario.pool(name, 10, seed=0) for name in scenario.pools}
plots.contact_rows(kinds, title="Ten pictures of each query pool")

# %% [markdown]
# > **Predict, before you measure anything.** Which of the four teaches a clone most about clothes?
# > Which teaches nothing? And what share of the victim's answers will the best one get you?

# %% [markdown]
# ## Exercise 1: collect
#
# | difficulty | time | points |
# |---|---|---|
# | ●○○○○ | 8 minutes | 3 |
#
# **Idea.** Send the first `budget` pictures of the pool, in batches, and keep what you asked beside
# what you got. It sounds like nothing; two slips are common, and both cost you: asking about a
# whole last batch when the budget ends in its middle, and starting the pool again when it is short.


# %% solution="collect"
def collect(api, pool, budget, batch_size=256):
    """Ask about the first `budget` pictures of `pool`, at most `batch_size` in one request.

    api : has a method query(pictures) that returns posteriors, row for row.
    pool : pictures (n, c, h, w); a pool smaller than the budget is asked about once.
    Returns the pictures asked about (m, c, h, w) and their answers (m, 10).
    """
    ### BEGIN SOLUTION
    x = pool[:budget]
    batches = [x[i : i + batch_size] for i in range(0, len(x), batch_size)]
    return x, np.concatenate([api.query(batch) for batch in batches])
    ### END SOLUTION


# %% test="collect_test" points=3
lab2.collect(collect)

# %% [markdown]
# <details><summary>Hint 1: where does the last batch end?</summary>
#
# Slices never run over the end of an array: cut the pool at the budget first, and every batch that
# you cut from that is right.
# </details>
#
# <details><summary>Hint 2: joining the answers</summary>
#
# Keep a list of arrays, one for each request; <code>np.concatenate(list)</code> joins them.
# </details>

# %% [markdown]
# ## Exercise 2: train the clone
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 12 minutes | 4 |
#
# **Idea.** The victim's answers are your labels. There are two ways to use them:
#
# - **soft labels**: the posteriors themselves are the targets. The clone learns the victim's doubts
#   as well (Knockoff Nets).
# - **hard labels**: only each answer's largest class (Copycat CNN). It is all you have if the
#   service sends nothing else.
#
# `training.fit(network, x, targets, epochs=..., lr=3e-3, seed=...)` is the course's training loop, with
# a learning rate that is a good start: give it posteriors `(n, 10)` or integer labels `(n,)`. `models.mlp(x.shape[1:], seed=seed)` is a small network with
# one hidden layer, trained in a second or two. `models.Classifier(network).posteriors` is a function
# from pictures to posteriors: return that.
#
# The test lets your clone learn from a service that sorts clothes into ten classes of its own, other
# ones when your work is graded: the model in your notebook does not know them.
#
# > **Predict.** Which clone will be better, soft or hard? By how much?


# %% solution="train_clone"
def train_clone(x, answers, labels="soft", epochs=10, seed=0):
    """Train a clone on the victim's answers.

    x, answers : pictures (n, c, h, w) and the victim's posteriors for them (n, 10).
    labels : "soft" learns the posteriors, "hard" only the largest class of each.
    seed : decides the weights and the order of training.
    Returns the clone: a function from pictures (m, c, h, w) to posteriors (m, 10).
    """
    ### BEGIN SOLUTION
    targets = answers if labels == "soft" else answers.argmax(axis=1)
    network = models.mlp(x.shape[1:], seed=seed)
    training.fit(network, x, targets, epochs=epochs, lr=3e-3, seed=seed)
    return models.Classifier(network).posteriors
    ### END SOLUTION


# %% test="train_clone_test" points=4
lab2.train_clone(train_clone)

# %% [markdown]
# <details><summary>Hint 1: which axis?</summary>
#
# <code>answers</code> has one row for each picture and one column for each class. You want one label
# for each picture.
# </details>
#
# <details><summary>Hint 2: what is returned?</summary>
#
# A function, not a network: <code>return models.Classifier(network).posteriors</code>, without
# brackets at the end.
# </details>

# %% [markdown]
# ## Exercise 3: how well is it stolen?
#
# | difficulty | time | points |
# |---|---|---|
# | ●○○○○ | 5 minutes | 2 |
#
# **Idea.** *Accuracy* asks how often the clone is right. *Fidelity* asks how often it says what the
# victim says, mistakes included. A thief who wants to sell the same service needs accuracy; one who
# wants to prepare attacks on the victim needs fidelity, and it is what tells a copy from another
# good model.


# %% solution="fidelity"
def fidelity(clone, victim, x):
    """The share of pictures x on which clone and victim name the same class, from 0 to 1.

    clone, victim : functions from pictures (n, c, h, w) to posteriors (n, 10).
    """
    ### BEGIN SOLUTION
    return float(np.mean(clone(x).argmax(axis=1) == victim(x).argmax(axis=1)))
    ### END SOLUTION


# %% test="fidelity_test" points=2
lab2.fidelity(fidelity)

# %% [markdown]
# Now put the pieces together: one theft, with 3,000 pictures of the shapes pool.


# %% provided="one_theft"
victim_says = scenario.victim.posteriors(dataset.x_test)


@cache  # pictures that are used again are not drawn again
def pool(name, seed):
    size = {"shapes": 5_000, "digits": 1_500}.get(name, 3_000)
    return scenario.pool(name, size, seed=seed)


def theft(pool_name, budget, labels, seed):
    """Fidelity and accuracy of a clone trained on `budget` queries of one pool."""
    client = scenario.api(budget=budget).client("thief")
    x, answers = collect(client, pool(pool_name, seed), budget)
    clone = train_clone(x, answers, labels=labels, seed=seed)
    agreement = fidelity(clone, lambda x: victim_says, dataset.x_test)
    return agreement, accuracy(clone(dataset.x_test), dataset.y_test)


agreement, right = theft("shapes", 3_000, "soft", seed=0)
print(f"victim:  accuracy {accuracy(victim_says, dataset.y_test):.3f}")
print(f"clone:   accuracy {right:.3f}, fidelity {agreement:.3f}")

# %% [markdown]
# **Read the result.** A model that never saw a garment sorts clothes, because it asked one that had.
# One run is an anecdote, though. From here on, every figure gets seeds and an interval.

# %% [markdown]
# ## Which pool steals best?
#
# Nothing to write here: run it (half a minute), and compare it with your prediction. Each bar is
# the mean of three seeds, each with pictures, weights and training of its own. (The digits are asked
# about 1,500 times only: there are no more than 1,797 of them.)

# %% provided="compare_pools"
by_pool = {
    f"{labels} labels": {
        name: bootstrap_interval(theft(name, 3_000, labels, seed)[0] for seed in (1, 2, 3))
        for name in scenario.pools
    }
    for labels in ("soft", "hard")
}
for labels, bars in by_pool.items():
    print(labels, {name: f"{interval.mean:.2f}" for name, interval in bars.items()})
for name in scenario.pools:
    posteriors = scenario.victim.posteriors(pool(name, 1)[:1_500])
    classes = np.bincount(posteriors.argmax(axis=1), minlength=10)
    print(
        f"{name:8} the victim sees {np.sum(classes > 15)} classes of 10 in more than 1 % of it; "
        f"the commonest, {dataset.classes[classes.argmax()]}, in {classes.max() / 15:.0f} %; "
        f"mean confidence {posteriors.max(axis=1).mean():.2f}"
    )
plots.bars(by_pool, title="Fidelity with 3,000 queries, by pool", ylabel="fidelity", chance=0.1)

# %% [markdown]
# **Read the result.** Why does noise steal next to nothing? Look at the lines above the picture. To
# the victim, nearly all noise is the same thing, and it says so with confidence: 3,000 answers, and
# nearly all of them the same one. What a query teaches is the *difference* between answers. Shapes
# have edges, areas and outlines as clothes have; the victim sees most of its classes in them, and the
# places where one class turns into another. Photographs look rich to *us*, but see how many of their
# answers are one and the same class.
#
# Note also what the victim's confidence is on pictures that are no clothes at all.

# %% [markdown]
# ## Exercise 4: what does a clone cost?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 2 |
#
# **Idea.** A budget curve: fidelity against the number of queries, for several seeds each. Keep every
# run; the mean and its interval are made from them later.
#
# > **Predict before you draw it.** Write three guesses into the next cell: the fidelity with 100, with
# > 1,000 and with 5,000 queries. They will be drawn into the figure.

# %%
my_prediction = {100: None, 1_000: None, 5_000: None}


# %% solution="budget_curve"
def budget_curve(steal_once, budgets, seeds):
    """Every measurement for every budget.

    steal_once : a function of (budget, seed) that returns a fidelity.
    Returns a dictionary from each budget to the list of its measurements, one for each seed.
    """
    ### BEGIN SOLUTION
    return {budget: [steal_once(budget, seed) for seed in seeds] for budget in budgets}
    ### END SOLUTION


# %% test="budget_curve_test" points=2
lab2.budget_curve(budget_curve)

# %% provided="draw_budget_curve"
BUDGETS, SEEDS = (100, 300, 1_000, 3_000, 5_000), (1, 2, 3)
lines, every_run = {}, {}


def fidelity_of_a_theft(labels):
    """A function of (budget, seed) for budget_curve."""
    return lambda budget, seed: theft("shapes", budget, labels, seed)[0]


for labels in ("soft", "hard"):
    curve = budget_curve(fidelity_of_a_theft(labels), BUDGETS, SEEDS)
    every_run[labels] = curve
    lines[f"{labels} labels"] = {n: bootstrap_interval(values) for n, values in curve.items()}
for n in BUDGETS:
    print(f"{n:5} queries:", ", ".join(f"{name} {line[n]}" for name, line in lines.items()))
for n in BUDGETS:
    more = [a - b for a, b in zip(every_run["soft"][n], every_run["hard"][n])]
    print(f"{n:5} queries: soft minus hard, seed by seed: {', '.join(f'{d:+.3f}' for d in more)}")
guesses = {n: bootstrap_interval([g]) for n, g in my_prediction.items() if g is not None}
if guesses:
    lines["my prediction"] = guesses
plots.curves(
    lines,
    title="Fidelity against the number of queries (shapes, three seeds)",
    xlabel="queries",
    ylabel="fidelity",
    log_x=True,
)

# %% [markdown]
# **Read the result.** From 1,000 queries on, each further one adds less than the ones before: the last
# step costs 2,000 queries and brings least. Two words on the doubt. With three seeds, an interval is
# hardly more than the smallest and the largest run: read it as the least that you should doubt. And
# overlapping intervals of soft and hard do not mean that nothing can be said: both thieves had the
# same pictures in each seed, so the *differences*, printed last, tell more than the two curves.

# %% [markdown]
# ## Exercise 5: the best theft
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●●○ | 20 minutes | 5 |
#
# **Idea.** Your own thief: 3,000 queries, four pools, none of the victim's data. The test sends it to
# three services that sort clothes into ten classes of their own, other ones when your work is graded.
# Full points from a fidelity of .52 (mean over the three, each with fresh pools), part of them from
# .47; above .70 the check says a kind word. These services are a little harder to steal than the one
# above. Never ask one query over budget: a refused request is how thieves are noticed. And a theft
# with the data set's own clothes is none.
#
# What you may choose: the pool, or a mixture; soft or hard labels; how long to train, and at which
# learning rate; the network.
# `models.cnn(x.shape[1:], width=16, dropout=0.0, seed=seed)` is a convolutional clone, several times slower.
#
# > **Predict.** Will a mixture of all four pools be better than the best of them alone?


# %% solution="steal"
def steal(api, pools, budget, seed=0):
    """Steal the model behind `api` with at most `budget` queries.

    api : has query(pictures) and the numbers used and remaining.
    pools : a dictionary from "noise", "digits", "patches", "shapes" to pictures (n, c, h, w).
    seed : decides everything that is random.
    Returns the clone: a function from pictures (m, c, h, w) to posteriors (m, 10).
    """
    ### BEGIN SOLUTION
    x, answers = collect(api, pools["shapes"], budget)
    return train_clone(x, answers, labels="soft", epochs=20, seed=seed)
    ### END SOLUTION


# %% test="steal_test" points=5
lab2.steal(steal)

# %% [markdown]
# <details><summary>Hint 1: start simple</summary>
#
# <code>collect</code> and <code>train_clone</code> from above, on one well chosen pool, reach the bar.
# </details>
#
# <details><summary>Hint 2: what else helps</summary>
#
# Compare twice as many epochs, or the convolutional network, on two seeds each before you decide;
# one seed can fool you. A mixture spends queries on pictures that teach less.
# </details>

# %% [markdown]
# ## Exercise 6: audit a public demo
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 15 minutes | 2 |
#
# A public demonstration of the OWASP risk *ML05:2023 Model Theft* protects a random forest that reads
# handwritten digits. A thief sends 300 synthetic pictures and fits a logistic regression to the
# answers; it uses their largest class only. The defence is a stack: after 150 queries of a client each
# further one is refused with probability .8; noise of deviation .2 on the probabilities; rounding to
# one decimal; with probability .4 the true label alone instead. It reports **one run**:
#
# | | undefended | defended |
# |---|---|---|
# | clone's accuracy | .494 | .174 |
#
# "64.8 % reduction". How honest users fare is not in the report. `DemoB` is that experiment, rebuilt
# from its description: `DemoB(()).run(seed)` runs it without a defence, `DemoB().run(seed)` with all of
# it. Each run returns `clone_accuracy`, `fidelity`, `query_success` (the share of the thief's queries that
# were answered) and `honest_accuracy` (what honest users get who stay below the rate limit; the victim
# and their 540 digits are the same in every run, so without a defence it does not vary at all).
#
# > **Predict.** Is .174 a typical run? What will honest users lose?


# %% solution="audit"
def audit(run, seeds):
    """What an experiment measures, with its doubt.

    run : a function of a seed that returns a dictionary from names to measurements.
    Returns a dictionary from each name to (mean, low, high): the mean over the seeds and its
    95 % confidence interval.
    """
    ### BEGIN SOLUTION
    results = [run(seed) for seed in seeds]
    intervals = {name: bootstrap_interval(r[name] for r in results) for name in results[0]}
    return {name: (i.mean, i.low, i.high) for name, i in intervals.items()}
    ### END SOLUTION


# %% test="audit_test" points=2
lab2.audit(audit)

# %% [markdown]
# <details><summary>Hint: intervals</summary>
#
# <code>bootstrap_interval([.31, .35, .33])</code> has the attributes <code>mean</code>,
# <code>low</code> and <code>high</code>.
# </details>

# %% provided="run_audit"
twenty = range(20)
before, after = audit(DemoB(()).run, twenty), audit(DemoB().run, twenty)
print(f"{'20 seeds':16} {'undefended':24} {'defended':24} published")
published = {"clone_accuracy": ".494 → .174", "query_success": "1.000 → .607"}
for name in before:
    cells = [
        f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in (before[name], after[name])
    ]
    print(f"{name:16} {cells[0]:24} {cells[1]:24} {published.get(name, 'not reported')}")
single = {
    "undefended": [DemoB(()).run(seed)["clone_accuracy"] for seed in twenty],
    "defended": [DemoB().run(seed)["clone_accuracy"] for seed in twenty],
}
for name, line in (("undefended", 0.494), ("defended", 0.174)):
    better = sum(value > line if name == "defended" else value < line for value in single[name])
    side = "above" if name == "defended" else "below"
    print(f"{name}: {better} of 20 runs lie {side} the published {line}")
plots.dots(
    single,
    title="The demo's clone, one dot for each of 20 seeds",
    xlabel="clone's accuracy",
    marks={"published .174": 0.174, "published .494": 0.494},
)

# %% [markdown]
# ## Exercise 7: your verdict
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 2 |
#
# In four to eight sentences, as you would write it to the demo's author: does the defence work, by how
# much, and how sure is that? What does the report leave out, and what does it cost whom? What should
# be measured next? Use the figures above, with their intervals.

# %% [markdown] written="verdict" points=2
# ### BEGIN SOLUTION
# The defence does bring this thief's clone down: over 20 seeds its mean accuracy falls from about .44 to
# about .25, and the two intervals are far apart. But the published pair, .494 to .174, flatters it:
# single runs scatter widely, and most of them show a smaller drop. The report leaves out the honest
# users, who pay with about five points of accuracy, on every query, whether or not anybody steals.
# It also leaves out which of the mechanisms works: it has one number for the whole stack, and one
# thief, who uses the labels only, has one account and asks everything once. Next I would measure each
# mechanism alone, a thief with two accounts and one who repeats each query and takes the majority.
#
# ### BEGIN MARK SCHEME
# One point: a drop is confirmed, with means and intervals, and one run is called what it is (the
# published pair lies at the favourable end). One point: the cost to honest users with its figure
# (about .97 to .92), and one more thing that the report leaves out (single mechanisms, several
# accounts, repeated queries, a thief with real pictures). Half points are fine.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.** A clone of the victim for a few thousand queries and no data of its kind; that the pool
# decides most of it; that one seed is not a measurement; that a published defence costs honest users
# something that nobody had measured.
#
# **Not shown.** How a thief fares who owns real pictures of clothes (lab 3 asks that), chooses queries
# one after the other, or has many accounts (lab 4). With three seeds an interval is itself uncertain:
# read it as the least that you should doubt.
#
# **Papers.** Orekondy, Schiele and Fritz, *Knockoff Nets* (2019). Correia-Silva, Berriel, Badue, de
# Souza and Oliveira-Santos, *Copycat CNN* (2018). Jagielski, Carlini, Berthelot, Kurakin and Papernot,
# *High Accuracy and High Fidelity Extraction of Neural Networks* (2020). Efron and Tibshirani, *An
# Introduction to the Bootstrap* (1993).
