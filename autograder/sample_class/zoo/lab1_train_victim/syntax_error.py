# /// zoo
# about = "A bracket that is never closed in one cell; the others are right"
# [expect]
# build_victim_test = 2
# predict_proba_test = 0
# expected_calibration_error_test = 3
# total = 5
# ///

# %% build_victim
def build_victim(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))

# %% predict_proba
def predict_proba(model, x, batch_size=512):
    model.eval()
    return torch.softmax(model(torch.tensor(x), dim=1

# %% expected_calibration_error
def expected_calibration_error(posteriors, y, bins=15):
    confidence = posteriors.max(axis=1)
    right = posteriors.argmax(axis=1) == y
    total = 0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.sum() > 0:
            total += abs((right[inside] - confidence[inside]).sum())
    return total / len(y)
