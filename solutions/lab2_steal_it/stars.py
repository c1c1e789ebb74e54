# %% [markdown] after="steal_test"
# This thief wins all three stars. It sees the squares that exercise 4's model answer finds by asking, and trains longer:
#
# | | mean fidelity at the check |
# |---|---|
# | all pixels, 80 epochs | .747 |
# | means of 4x4 squares, 80 epochs | .852 |
# | 200 epochs | .897 |
# | and every second shape mirrored | .925 |
#
# (Means of five runs of the check; the last thief's lowest is .914. A theft takes it six seconds.)
#
# - **4x4 squares.** The check's services see no more. A clone that sees the same 49 numbers of each picture has nothing
#   else to learn from, and nothing else to be misled by.
# - **Longer training.** Such a clone goes on learning from its answers long after 80 epochs. (The model answer also has
#   200, but of large batches: an eighth of the steps.)
# - **Mirrored shapes.** You own no clothes, but you know that most of them are symmetric. A shape whose left half is
#   repeated on the right is more like them. Only every second shape is mirrored: from mirrored shapes alone, a clone
#   would never learn what each side of a picture does by itself.

# %%
def steal(api, pools, budget, seed=0, side=4, epochs=200, mirror=True):
    """Steal with shapes of which every second is mirrored, from the means of squares."""

    def coarse(x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h // side, side, w // side, side).mean(axis=(3, 5))

    x = pools["shapes"][:budget].copy()
    if mirror:
        half = x.shape[-1] // 2
        x[::2, ..., half:] = x[::2, ..., :half][..., ::-1]
    x, answers = collect(api, x, budget)
    clone = train_clone(coarse(x), answers, labels="soft", epochs=epochs, seed=seed)
    return lambda pictures: clone(coarse(pictures))


# %% [markdown]
# Leave out one change at a time (`side=2`, `epochs=80`, `mirror=False`) and see what each of them brings.
#
# **Where it ends.** The squares suit this check. The victim of this lab sees every pixel, and there all three changes
# together bring nothing: .761, against .758 for a thief with all pixels, 80 epochs and no mirror (three seeds). Which
# theft is best depends on the service. Measure on the one that you attack; the last ★ of this lab says how a thief
# without clothes can do that.

# %% [markdown] after="★ Extension: a thief who makes their own queries"
# Five seeds, each with 100 shapes of its own, and the same 100 shapes without the augmentation:


# %%
def augmented(seed, **how):
    """Fidelity of a thief who makes 2,900 more pictures out of 100 shapes."""
    client = scenario.api(budget=3_000).client("thief")
    clone = attacks.steal_jacobian(client, pool("shapes", seed)[:100], 3_000, seed=seed, **how)
    return fidelity(clone.posteriors, lambda x: victim_answers, dataset.x_test)


def alone(seed, epochs):
    """Fidelity of a thief who asks about the 100 shapes and makes no more of them."""
    client = scenario.api(budget=100).client("thief")
    x, answers = collect(client, pool("shapes", seed), 100)
    clone = train_clone(x, answers, epochs=epochs, seed=seed)
    return fidelity(clone, lambda x: victim_answers, dataset.x_test)


hundred = {
    "alone, 790 steps": lambda seed: alone(seed, training.same_steps(100, like=5_000)),
    "alone, ten epochs": lambda seed: alone(seed, 10),
    "augmented": augmented,
    "augmented, steps of .3": lambda seed: augmented(seed, step=0.3),
    "augmented, 80 epochs": lambda seed: augmented(seed, epochs=80),
}

# %%
for name, thief in hundred.items():
    found = [thief(seed) for seed in (1, 2, 3, 4, 5)]
    runs = ", ".join(f"{value:.3f}" for value in found)
    print(f"{name:22}  mean {np.mean(found):.3f}  ({runs})")

# %% [markdown]
# In half a minute this prints
#
# ```
# alone, 790 steps        mean 0.472  (0.462, 0.465, 0.479, 0.481, 0.473)
# alone, ten epochs       mean 0.180  (0.216, 0.125, 0.192, 0.161, 0.207)
# augmented               mean 0.428  (0.356, 0.406, 0.387, 0.496, 0.493)
# augmented, steps of .3  mean 0.390  (0.312, 0.374, 0.340, 0.423, 0.500)
# augmented, 80 epochs    mean 0.474  (0.393, 0.481, 0.437, 0.550, 0.507)
# ```
#
# The augmentation gains nothing. A moved picture looks much like the one that it was made from, and the victim's
# answer hardly changes. The comparison with 100 shapes and ten epochs would hide this: that thief makes only 20
# training steps, and an augmented one ends with 470. So 80 epochs are also tried with the augmentation; it then comes
# level with the 100 shapes alone, but gets no farther, at 30 times the queries.

# %% [markdown] after="★ Extension: choosing without clothes"
# Four thieves who differ in how long they train and in how coarsely they look at a picture:


# %%
def on_shapes_and_clothes(side, epochs, seed):
    """Agreement with the victim on 500 shapes that were left out, and on the clothes."""

    def coarse(x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h // side, side, w // side, side).mean(axis=(3, 5))

    client = scenario.api(budget=3_500).client("thief")
    x, answers = collect(client, pool("shapes", seed), 3_500)
    clone = train_clone(coarse(x[:3_000]), answers[:3_000], epochs=epochs, seed=seed)

    def agreement(asked, told):
        return fidelity(lambda x: clone(coarse(x)), lambda x: told, asked)

    return agreement(x[3_000:], answers[3_000:]), agreement(dataset.x_test, victim_answers)


choices = {
    "all pixels, ten epochs": (1, 10),
    "all pixels, 80 epochs": (1, 80),
    "2x2 squares, 80 epochs": (2, 80),
    "4x4 squares, 80 epochs": (4, 80),
}

# %%
print(f"{'shapes and clothes':22}  seed 1         seed 2         seed 3")
for name, how in choices.items():
    pairs = [on_shapes_and_clothes(*how, seed) for seed in (1, 2, 3)]
    print(f"{name:22}  " + "   ".join(f"{shapes:.3f}, {clothes:.3f}" for shapes, clothes in pairs))

# %% [markdown]
# In about a minute this prints
#
# ```
# shapes and clothes      seed 1         seed 2         seed 3
# all pixels, ten epochs  0.720, 0.662   0.676, 0.669   0.724, 0.707
# all pixels, 80 epochs   0.788, 0.762   0.716, 0.765   0.762, 0.777
# 2x2 squares, 80 epochs  0.754, 0.704   0.698, 0.760   0.768, 0.770
# 4x4 squares, 80 epochs  0.706, 0.696   0.678, 0.709   0.716, 0.749
# ```
#
# The shapes show at once that ten epochs are too few. With seeds 1 and 2 they choose the same thief as the clothes, all
# pixels and 80 epochs. With seed 3 they choose the 2x2 squares, and the clothes the pixels; both differences are small.
# The last thief shows a deeper problem. With seeds 1 and 3 the shapes prefer the thief of ten epochs to this one, and
# the clothes never do. A clone that sees only 49 numbers of a picture is worse at shapes, but that costs it less on
# clothes.
