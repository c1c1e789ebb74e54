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
# - build the defences that everybody names first: rounding, fewer classes, labels only, rate limits;
# - measure what each of them buys, against a thief who adapts;
# - audit a public demonstration, one mechanism at a time;
# - put your own stack together, and advise an owner with figures.
#
# **Time** about 110 minutes. **Points** 25. **You need** the ideas of lab 3, not its code; no GPU.
#
# **The story.** *Ostrich & Daughters* have read a checklist: "return labels only, round the
# probabilities, limit the rate". All of it is cheap, and all of it is in place by Friday. You are
# asked on Thursday whether it helps.
#
# **Stuck?** Put the library's version in the place of yours, for no points there, and go on:
# `from trickster.defenses import hard_labels, top_k, round_posteriors` in exercise 1,
# `from trickster.limiters import TokenBucket` in exercise 3, and `SlidingWindow` from there in
# exercise 4. Each refuses to answer while the test of its own exercise runs, and works everywhere
# else; `defenses.Trickster` refuses in exercise 7.

# %% provided="setup"
{{setup}}

# %% provided="imports"
import math
from functools import cache

import numpy as np

from trickster import attacks, defenses, evaluation, ood, plots
from trickster.api import RateLimited
from trickster.checks import lab4
from trickster.demos import MECHANISMS, DemoB
from trickster.evaluation import bootstrap_interval
from trickster.limiters import GlobalLimit, ManualClock
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
# **Idea.** An answer can say more or less: ten probabilities, the same ones rounded, the largest
# three, only the name of a class. Each rung is a function from posteriors `(n, 10)` to posteriors
# `(n, 10)`. Two rules hold on every rung: each row of the result is a distribution, and each row
# depends on its own row only.


# %% solution="hard_labels"
def hard_labels(p):
    """One-hot rows: 1 for the most probable class of each row, of equal ones the first.

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
# <details><summary>Hint 1: one row at a time, without a loop</summary>
#
# <code>p.argmax(axis=1)</code> is one class for each row, and
# <code>p.sum(axis=1, keepdims=True)</code> has the shape (n, 1): you can divide (n, k) by it.
# <code>np.eye(k)[labels]</code> is a one-hot row for each label.
# </details>
#
# <details><summary>Hint 2: the k largest</summary>
#
# <code>np.argsort(-p, axis=1)[:, :k]</code> holds the places of each row's k largest. With
# <code>np.take_along_axis</code> you read at these places, with <code>np.put_along_axis</code> you
# write there.
# </details>
#
# <details><summary>Hint 3: which rows can round to nothing?</summary>
#
# With <code>decimals=0</code>, every row whose largest probability is below one half. A mask
# <code>rounded.sum(axis=1) == 0</code> finds them.
# </details>

# %% [markdown]
# ## Exercise 2: the library's version
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 6 minutes | 1 |
#
# A widely used library offers both rungs as defences. In our words, they do this:


# %% provided="library"
def library_hard_labels(p):
    """Labels only, as the library makes them."""
    winners = np.argmax(p, axis=1)
    answers = np.zeros_like(p)
    answers[:, winners] = 1
    return answers


def library_rounding(p, decimals):
    """Rounded probabilities, as the library makes them."""
    return np.round(p, decimals)


single = np.array([[0.7, 0.1, 0.1, 0.1, 0, 0, 0, 0, 0, 0]])
print("labels only:", library_hard_labels(single)[0])
print("rounded:    ", library_rounding(single, 1)[0])

# %% [markdown]
# Both look right. Find a batch of posteriors on which *both* return something that is no
# distribution.


# %% solution="counterexample"
def counterexample():
    """Posteriors (n, 10), two rows are enough, on which both library functions are wrong.

    Each row sums to 1; the rows of library_hard_labels(p) do not, nor do those of
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
# <details><summary>Hint: what does the colon mean?</summary>
#
# <code>answers[:, winners] = 1</code> writes into the columns <code>winners</code> of *all* rows. With
# one row, nobody can see it.
# </details>
#
# ## What each rung buys
#
# > **Predict.** A thief sends 1,500 pictures of the shapes pool. By how much does each rung bring
# > down the fidelity of the clone: probabilities with one decimal, the largest three, labels only? And
# > for a thief who never used more than the label?
#
# Nothing to write: run it. `scenario.api(defenses=[...])` is the victim behind one of your rungs.
# Three seeds, each with a pool, weights and training of its own.

# %% provided="rungs"
# Trains 24 clones, which takes a while.
SEEDS = (1, 2, 3)
rungs = {
    "one decimal": lambda p, query: round_posteriors(p, 1),
    "largest three": lambda p, query: top_k(p, 3),
    "labels only": lambda p, query: hard_labels(p),
}


@cache  # pictures that are used again are not drawn again
def pool(seed):
    return scenario.pool("shapes", 3_000, seed=seed)


def fidelity_of(x, answers, labels, seed):
    """Fidelity of a clone trained on the answers to pictures x."""
    clone = attacks.train_clone(x, answers, labels=labels, seed=seed)
    return evaluation.fidelity(clone.labels(dataset.x_test), victim_says)


@cache
def undefended(n, labels):
    """Fidelity of thefts with n full answers, one for each seed, with its interval."""
    pools = [(seed, pool(seed)[:n]) for seed in SEEDS]
    return bootstrap_interval(
        fidelity_of(x, scenario.victim.posteriors(x), labels, seed) for seed, x in pools
    )


def defended(rung, labels):
    """The same with 1,500 answers, through a service that sends what the rung leaves."""
    values = []
    for seed in SEEDS:
        client = scenario.api(defenses=[rung]).client("thief")
        x, answers = attacks.collect(client, pool(seed), 1_500)
        values.append(fidelity_of(x, answers, labels, seed))
    return bootstrap_interval(values)


by_rung = {}
for thief, labels in (("soft thief", "soft"), ("label thief", "hard")):
    by_rung[thief] = {"probabilities": undefended(1_500, labels)}
    by_rung[thief] |= {name: defended(rung, labels) for name, rung in rungs.items()}
for name in ("probabilities", *rungs):
    print(f"{name:14}", ",  ".join(f"{thief} {by_rung[thief][name]}" for thief in by_rung))
plots.bars(by_rung, title="Fidelity with 1,500 queries, by rung", ylabel="fidelity", chance=0.1)

# %% [markdown]
# **Read the result.** Compare the first two rows: do the intervals of full and of rounded
# probabilities overlap? Then compare the bottom of the ladder, where the owner tells as little as a
# service can tell, with its top. The label thief's column hardly moves: he throws away what the
# rungs throw away. (Rounding can make two classes equal, and then the first of them wins; that is
# all that changes for him.)

# %% [markdown]
# ## Exercise 3: a token bucket
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 14 minutes | 4 |
#
# **Idea.** Each key owns a bucket of `burst` tokens, full at first. An answer costs a token;
# `rate` tokens a second flow back, until the bucket is full. A burst passes at once, a steady stream
# at the rate.
#
# Time is an argument, `now`, in seconds: a limiter that reads the clock itself cannot be tested.
# Four promises make the difference between a limiter and a nuisance:
#
# - **per key**: what one customer uses is not charged to another, and nobody is forgotten;
# - **whole batches**: `n` answers or none, and what is refused is not counted;
# - **no drift**: parts of a token are kept. A customer who keeps *exactly* to the rate is never
#   refused, even though in floating point `(0.3 - 0.2) * 10` comes out slightly below 1;
# - **clocks that go back** gain nothing and cost nothing: to a key, time stands still until the
#   clock has caught up.


# %% solution="token_bucket"
class TokenBucket:
    """At most `burst` answers at once for each key, and `rate` a second in the long run."""

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.keys = {}  # what you remember of each key

    def allow(self, key, now, n=1):
        """Take n tokens of `key` at `now` seconds if they are there: True, else False."""
        ### BEGIN SOLUTION
        tokens, then = self.keys.get(key, (self.burst, now))
        now = max(now, then)
        tokens = min(self.burst, tokens + (now - then) * self.rate)
        if tokens < n - 1e-6:
            return False
        self.keys[key] = tokens - n, now
        return True
        ### END SOLUTION

    def retry_after(self, key, now, n=1):
        """Seconds until allow(key, ..., n) will say True: 0.0 if now, math.inf if never."""
        ### BEGIN SOLUTION
        if n > self.burst:
            return math.inf
        tokens, then = self.keys.get(key, (self.burst, now))
        tokens = min(self.burst, tokens + max(0.0, now - then) * self.rate)
        return max(0.0, (n - tokens) / self.rate)
        ### END SOLUTION


# %% test="token_bucket_test" points=4
lab4.token_bucket(TokenBucket)

# %% [markdown]
# <details><summary>Hint 1: what to remember</summary>
#
# Two numbers for each key: how many tokens were left, and when that was. The tokens of *now* are
# computed from them: <code>min(burst, tokens + (now - then) * rate)</code>. No timer, no thread.
# </details>
#
# <details><summary>Hint 2: when to write</summary>
#
# Only when you allow. A refused request then leaves no trace, and nothing can be counted wrongly.
# </details>
#
# <details><summary>Hint 3: tolerance and clock</summary>
#
# Compare with <code>n - 1e-6</code>; the tolerance is no gift, since the full n is taken. And before
# anything else: <code>now = max(now, then)</code>.
# </details>

# %% [markdown]
# ## Exercise 4: a sliding window
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 12 minutes | 3 |
#
# **Idea.** At most `limit` answers for each key in *any* `seconds` seconds. Windows that begin at
# fixed times are easier, and allow twice the limit around their border; this one looks back from
# now. An answer given at `t` counts until just before `t + seconds`. The same four promises hold.


# %% solution="sliding_window"
class SlidingWindow:
    """At most `limit` answers for each key in any `seconds` seconds."""

    def __init__(self, limit, seconds):
        self.limit, self.seconds = limit, seconds
        self.keys = {}  # what you remember of each key

    def allow(self, key, now, n=1):
        """Count n answers for `key` at `now` seconds if they fit: True, else False."""
        ### BEGIN SOLUTION
        given = self.keys.get(key, [])
        now = max([now, *given[-1:]])
        given = [then for then in given if now - then < self.seconds]
        if len(given) + n > self.limit:
            return False
        self.keys[key] = given + [now] * n
        return True
        ### END SOLUTION

    def retry_after(self, key, now, n=1):
        """Seconds until allow(key, ..., n) will say True: 0.0 if now, math.inf if never."""
        ### BEGIN SOLUTION
        if n > self.limit:
            return math.inf
        given = [then for then in self.keys.get(key, []) if now - then < self.seconds]
        over = len(given) + n - self.limit
        return 0.0 if over <= 0 else given[over - 1] + self.seconds - now
        ### END SOLUTION


# %% test="sliding_window_test" points=3
lab4.sliding_window(SlidingWindow)

# %% [markdown]
# <details><summary>Hint 1: what to remember</summary>
#
# The times of a key's answers, oldest first, one for each answer. Those of the last
# <code>seconds</code> count; the others can go.
# </details>
#
# <details><summary>Hint 2: how long to wait</summary>
#
# If <code>over</code> answers are too many, the <code>over</code> oldest must leave the window. The
# last of them leaves at its own time plus <code>seconds</code>.
# </details>
#
# Now behind a service. `scenario.api(limiters=[...])` asks your limiter before it answers, and raises
# `RateLimited` with the wait that your `retry_after` tells. A `ManualClock` passes the time.

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
# One day of a service: fifty shops, each with five requests of twenty pictures at any time of the
# day, and a thief who wants 3,000 answers. He tries fifty pictures from each of his accounts every
# ten minutes. Opening accounts to get round a limit is called a *Sybil* attack. Four limits:
#
# | | |
# |---|---|
# | none | |
# | bucket | 300 a day for each account, bursts of 100 |
# | window | 300 in any 24 hours for each account |
# | global | a bucket of 6,000 a day, bursts of 500, for everybody together |
#
# > **Predict.** How many accounts does the thief need, and which limit hurts the shops most?


# %% provided="one_day"
def one_day(limiter, accounts, seed=0):
    """Answers a thief gets in a day, and the share of the shops' requests that is answered."""
    rng = np.random.default_rng(seed)
    requests = [(t, f"thief {a}", 50) for t in range(0, DAY, 600) for a in range(accounts)]
    requests += [(t, f"shop {s}", 20) for s in range(50) for t in rng.uniform(0, DAY, 5)]
    stolen, shops = 0, []
    for now, key, n in sorted(requests):
        if key.startswith("shop"):
            shops.append(limiter is None or limiter.allow(key, now, n))
        elif stolen < 3_000 and (limiter is None or limiter.allow(key, now, n)):
            stolen += n
    return stolen, np.mean(shops)


limits = {
    "none": lambda: None,
    "bucket": lambda: TokenBucket(300 / DAY, 100),
    "window": lambda: SlidingWindow(300, DAY),
    "global": lambda: GlobalLimit(TokenBucket(6_000 / DAY, 500)),
}
print("a day: the thief's answers of 3,000, and the shops' requests answered")
for accounts in (1, 2, 5, 10):
    days = {name: one_day(make(), accounts) for name, make in limits.items()}
    cells = [f"{name} {stolen:5,} {shops:4.0%}" for name, (stolen, shops) in days.items()]
    print(f"accounts {accounts:2}:", "   ".join(cells))

# %% [markdown]
# And what are so many answers worth?

# %% provided="by_answers"
# Trains 18 clones more, which takes a while.
COUNTS = (300, 600, 1_500, 3_000)
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
)

# %% [markdown]
# **Read the result.** Against one account, a limit of 300 a day holds the thief on the left of the
# curve, for that day, and no shop notices. Against ten accounts it does nothing: each of them looks
# like a good customer. The global limit cannot be got round with accounts, but look at its last
# column. The thief keeps the common bucket empty, gets most of what he wants all the same, and about
# one in five of the shops' requests is refused.

# %% [markdown]
# ## Exercise 5: the price of a stolen model
#
# | difficulty | time | points |
# |---|---|---|
# | ●○○○○ | 6 minutes | 2 |
#
# **Idea.** A limit does not prevent a theft, it sets a price for it: in days, in money, in accounts.
# Compute the price, and the owner can compare it with what the model is worth.


# %% solution="price_of_theft"
def price_of_theft(queries, accounts, per_day, price, signup=0.0, everybody=None):
    """Days and money that `queries` answers cost a thief with so many accounts.

    per_day : answers that one account gets in a day.
    price, signup : of one answer, and of opening one account.
    everybody : answers that the whole service gives in a day, or None without such a limit.
    Returns (days, money); a day that has begun counts whole.
    """
    ### BEGIN SOLUTION
    daily = accounts * per_day
    if everybody is not None:
        daily = min(daily, everybody)
    return math.ceil(queries / daily), queries * price + accounts * signup
    ### END SOLUTION


# %% test="price_of_theft_test" points=2
lab4.price_of_theft(price_of_theft)

# %% provided="prices"
for accounts in (1, 2, 5, 10):
    days, money = price_of_theft(3_000, accounts, per_day=300, price=0.01, signup=5.0)
    print(f"3,000 answers, accounts {accounts:2}: days {days:2}, money {money:6.2f}")
print(f"what they buy: a fidelity of {worth['soft thief'][3_000]}")

# %% [markdown]
# ## Exercise 6: which mechanism works?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 18 minutes | 2 + 2 |
#
# The public demonstration of *ML05:2023 Model Theft* that you met in lab 2 stacks five mechanisms in
# front of a random forest: a **rate limit** (after 150 queries of a client, four of five are
# refused), **noise** (N(0, .2) on the probabilities), **rounding** to one decimal, **hard labels**
# (with probability .4 the answer is the one-hot of the *true* argmax), and **renormalising**. It
# reports a number for the stack, from one run. The thief uses only the largest class of each answer.
#
# An *ablation* asks which part does the work: nothing, each mechanism alone, all together, with the
# same seeds. `DemoB(("noise",)).run(seed)` is one run with the noise alone.
#
# > **Predict.** Order the five by what they take from the thief. Which of them do exactly nothing
# > to a thief who takes the argmax?


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

# %% provided="run_ablation"
# 140 thefts, which take a while.
table = ablation(lambda on, seed: DemoB(on).run(seed), MECHANISMS, range(20))
columns = {"clone_accuracy": "clone", "query_success": "answered", "honest_accuracy": "honest"}
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
plots.dots(
    {name: [one["clone_accuracy"] for one in runs] for name, runs in table.items()},
    title="The demo's clone with each mechanism, one dot for each of 20 seeds",
    xlabel="clone's accuracy",
)

# %% [markdown]
# **Read the result.** A drop whose interval holds 0 is no drop that 20 seeds can show. Compare
# *noise* with *all* (the last line does it seed by seed), and think of what the hard labels of this demo
# put back. The rate limit shows
# no price here, because this experiment does not ask for one: its honest users are never refused.
#
# Dividing a row by its sum never changes which of its classes is largest. That is why renormalising
# cannot matter to this thief, and why labels, noise-free, tell him all that he ever used.
#
# **Your verdict.** In four to eight sentences: which mechanisms work, which do nothing and why, what
# do the honest users pay, and for which of them? Give figures with their intervals.

# %% [markdown] written="audit_verdict" points=2
# ### BEGIN SOLUTION
# Noise does nearly all of the work: alone it brings the clone from about .44 down to about .2, further
# than the whole stack does (about .25). The stack is weaker than its strongest part because its "hard
# labels" send the clean argmax in 40 % of the answers, which undoes the noise for those. The rate limit
# alone takes some of the answers (60 % are left) and about seven points of the clone, as fewer answers
# of the same kind would, and a second account gets round it. Rounding, hard labels alone and renormalising
# do nothing that can be told from 0: the thief uses the argmax, and hard labels and renormalising
# leave it exactly as it was; rounding changes it only in ties. The honest user pays for the noise: from
# about .97 down to .90 with noise alone, to about .92 with the stack, on every query, and gets nothing
# for the other mechanisms. A repeated question averages the noise away as well.
#
# ### BEGIN MARK SCHEME
# One point: noise is named as what works, at least two of rounding, hard labels and renormalising
# as doing nothing, with figures and intervals, and a reason (the thief takes the argmax). One point:
# what honest users pay, with its figure, and that the noise (not the others) takes it; or that the
# stack is weaker than noise alone, and why. Half points are fine.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## Exercise 7: your stack
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●●○ | 22 minutes | 5 |
#
# **Idea.** Labels tell less, a limit sets a price, and lab 3's misinformation makes the answers
# themselves worthless to those who ask about weird pictures. Put together what deserves it.
#
# **The terms of the service.** A customer sends up to 60 pictures in a request and up to 300 in a day,
# as five requests right after each other if they like. All of that is answered. No account gets
# more than 1,000 answers in any 24 hours. Honest accuracy may fall by .015 at most, and the same
# picture gets the same answer, whoever asks, whenever, in whatever batch.
#
# `make_layered` is called once for each service, so that each starts with empty limiters. It returns the
# function that answers. You are given the victim's *features* of its training pictures (the bank) and
# of honest pictures that trained nothing. From lab 3, ready to use:
#
# - `ood.score_knn(features, bank, k=1)`: one score for each row, higher for normal;
# - `ood.choose_threshold(scores, share)`: at most that share of the scores lies below;
# - `defenses.misinform(p)`: for each row, a wrong answer that looks sure, always the same.
#
# Graded: the best of four thieves with 3,000 answers. One reads the probabilities, one the labels,
# one asks 1,000 pictures three times and averages, and one takes a new account every day. All four
# stay within the terms, and so do the honest customers among them: the pictures of both come mixed,
# from many accounts, over weeks. Full points for a drop of fidelity of .20, part of them from .12.


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


# %% test="layered_test" points=5
lab4.layered(make_layered)

# %% [markdown]
# <details><summary>Hint 1: in which order?</summary>
#
# First the limiter, which may refuse before any work is done; then weird or not; then what to say; at
# the end, how much of it to tell.
# </details>
#
# <details><summary>Hint 2: which limit?</summary>
#
# <code>SlidingWindow(limit, DAY)</code> with a limit between 300 and 1,000 keeps the terms. A bucket
# gives <code>burst + rate * DAY</code> in a day: both together must stay below 1,000.
# </details>
#
# <details><summary>Hint 3: each row by itself</summary>
#
# <code>np.where(weird[:, None], wrong, right)</code> takes whole rows from the one or from the other.
# </details>
#
# What does each layer add? The ten-account thief, who is within all limits, meets three services:

# %% provided="layers"
# Trains 6 clones.
half = len(dataset.x_test) // 2
bank = scenario.victim.features(dataset.x_train)
honest = scenario.victim.features(dataset.x_test[:half])
held_out = scenario.victim.features_and_posteriors(dataset.x_test[half:])


def ask_all(answer, x, features, posteriors):
    """Ask about all pictures, sixty in a request, five requests from each account."""
    parts = []
    for i in range(0, len(x), 60):
        one = slice(i, i + 60)
        key = f"account {i // 300}"
        parts.append(answer(x[one], posteriors[one], features[one], key, now=float(i)))
    return np.concatenate(parts).astype(np.float32)


stacks = {
    "nothing": lambda: lambda x, posteriors, features, key, now: posteriors,
    "labels only": lambda: lambda x, posteriors, features, key, now: hard_labels(posteriors),
    "your stack": lambda: make_layered(bank, honest),
}


def stolen_from(make):
    """Fidelity of the ten-account thief, one value for each seed, with its interval."""
    values = []
    for seed in SEEDS:
        answers = ask_all(make(), pool(seed), *scenario.victim.features_and_posteriors(pool(seed)))
        values.append(fidelity_of(pool(seed), answers, "soft", seed))
    return bootstrap_interval(values)


by_stack = {"nothing": undefended(3_000, "soft")}
by_stack |= {name: stolen_from(make) for name, make in stacks.items() if name != "nothing"}
for name, make in stacks.items():
    given = ask_all(make(), dataset.x_test[half:], *held_out)
    right = evaluation.accuracy(given, dataset.y_test[half:])
    print(f"{name:12} fidelity {by_stack[name]}   honest accuracy {right:.3f}")
plots.bars(
    {"ten accounts, 3,000 answers": by_stack},
    title="What the layers take from the Sybil thief (three seeds)",
    ylabel="fidelity",
    chance=0.1,
)

# %% [markdown]
# **Read the result.** The limits let this thief pass, as they must: each of his accounts is a
# customer. What he is told decides. Mind what the price is, too: look at the honest accuracy beside
# each stack.

# %% [markdown]
# ## Exercise 8: advise the owner
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 10 minutes | 2 |
#
# *Ostrich & Daughters* sell .01 an answer to some 50 shops, which send about 100 pictures a day each.
# An account costs 5. The model cost 20,000 to make. Their customers only ever use the name of the
# class. The engineer proposes: "labels only, one decimal, 300 a day per account, done."
#
# In six to ten sentences: what do you recommend, what do you expect of each part, what will honest
# customers pay, what does a theft then cost in days and money, and what will your recommendation *not*
# stop? Every claim with a figure from this notebook.

# %% [markdown] written="recommendation" points=2
# ### BEGIN SOLUTION
# Send labels only, since customers need no more; but expect little of it: with 1,500 queries it takes
# about five points of fidelity from a thief who reads probabilities (.59 to .55), and none from one who
# takes labels. Leave
# out the rounding, which is pointless beside labels and buys nothing that the intervals can show by
# itself. Keep a limit for each account, at 300 a day: all requests of the shops are answered, and one
# account then needs ten days for 3,000 answers, 35 in money. Do not count on it: ten accounts need one
# day and 80 in money, next to nothing for a model of 20,000. Do not set a global limit: on the day of a
# theft a fifth of the shops' requests were refused. What protects the model is the misinformation for weird inputs, at a
# threshold that 2 % of held-out honest scores lie below: the same 3,000 answers give a fidelity near
# .3 instead of .7, also with ten accounts or repeated questions, and honest accuracy falls by less
# than a point. It will not stop a thief who owns real pictures of clothes, since those are not weird
# (lab 3), nor was a thief tested who chooses pictures that come close to the training pictures.
#
# ### BEGIN MARK SCHEME
# One point: a recommendation with at least three figures from the notebook that support it, among
# them the price in days and money and what honest customers pay. One point: says what does not work
# (rounding, labels, limits against several accounts, the outage of a global limit; two of them) and
# what the recommendation cannot stop (real pictures, adaptive thieves). Half points are fine.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.** That rounding an answer buys nothing, and labels little; that a limit sets a price and that
# accounts pay it; that a common limit shifts the cost to honest customers; that a stack can be weaker
# than its strongest part; that what is *told* about weird inputs matters more than how much of it.
#
# **Not shown.** How a thief fares who owns real pictures (lab 3), who chooses each query by the answers
# before it, or who finds out that he is being misled and drops those answers. Nobody here tried to
# link accounts that belong together, which real services do. Three seeds make rough intervals.
#
# **Papers.** Orekondy, Schiele and Fritz, *Knockoff Nets* (2019), on what truncated answers change.
# Kariyappa and Qureshi, *Defending Against Model Stealing Attacks with Adaptive Misinformation* (2020).
# Juuti, Szyller, Marchal and Asokan, *PRADA* (2019), on detecting thieves by their queries. Tang and
# others, *ModelGuard* (2024), on thieves who adapt. Douceur, *The Sybil Attack* (2002).
