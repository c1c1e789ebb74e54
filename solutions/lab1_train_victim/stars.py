# %% [markdown] after="★ Extension: make it less sure of itself"
# There is only one number to find, so try many of them. The first half of the held-out pictures chooses, the second
# measures:

# %%
from trickster.models import softmax

logits, y = victim.logits(fashion.x_test), fashion.y_test
chooses, measures = slice(0, 2_500), slice(2_500, None)


def cross_entropy(temperature):
    """Of the half that chooses, with all logits divided by the temperature."""
    answers = softmax(logits[chooses] / temperature)
    return -np.log(answers[np.arange(len(answers)), y[chooses]]).mean()


best = min(np.arange(0.5, 3, 0.01), key=cross_entropy)
for temperature in (1.0, best):
    answers = softmax(logits[measures] / temperature)
    error = expected_calibration_error(answers, y[measures])
    print(
        f"{temperature:.2f}: error {error:.3f}, by chance {left_by_chance(answers):.3f}, "
        f"accuracy {accuracy(answers, y[measures]):.3f}"
    )

# %% [markdown]
# With the course's own `expected_calibration_error` this prints
#
# ```
# 1.00: error 0.041, by chance 0.011, accuracy 0.889
# 1.54: error 0.017, by chance 0.013, accuracy 0.889
# ```
#
# The temperature is close to the 1.5 at which the playground's error was smallest. The cross-entropy punishes
# confident mistakes most, which is why a model that makes more of them than its confidence admits needs a temperature
# above 1. The accuracy is the same to the last digit. The error that remains is little more than the .013 that chance
# leaves on average. But one number makes all answers less certain, those that deserved their confidence as well.
