# %% [markdown] after="steal_test"
# This thief wins all three stars. It is the thief of exercise 4 with three changes:
#
# | | mean fidelity at the check |
# |---|---|
# | exercise 4's thief: means of 2x2 squares, 80 epochs | about .80 |
# | means of 4x4 squares | .852 |
# | and 200 epochs | .896 |
# | and every second shape mirrored | .924 |
#
# (Means of five runs of the check; the last thief's lowest is .915. A theft takes it five seconds.)
#
# - **Coarser squares.** A shape and a coat differ most in their details. The clone that sees only 49 numbers for each
#   picture cannot learn what is special about shapes.
# - **Longer training.** Such a clone goes on learning from its answers long after 80 epochs.
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
# **Where it ends.** The check's services look at clothes as coarsely as this thief, so the squares suit them. The
# victim of this lab sees every pixel, and there all three changes together bring nothing: .762, against .759 for a
# thief with all pixels, 80 epochs and no mirror (three seeds). Which theft is best depends on the service. Measure on
# the one that you attack; the last ★ of this lab says how a thief without clothes can do that.
