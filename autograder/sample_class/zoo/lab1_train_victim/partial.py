# /// zoo
# about = "Half-way: a network without convolutions, an API that checks shapes only"
# sample = true
# [expect]
# build_victim_test = 2
# train_victim_test = [2, 4.6]
# predict_proba_test = 3.25
# expected_calibration_error_test = 1
# api_test = [3, 3.7]
# total = [11, 15]
# [marks]
# written = 1
# ///

# %% build_victim
def build_victim(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))

# %% train_victim
def train_victim(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0, after_epoch=None):
    x, y = torch.tensor(x), torch.tensor(y)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr / 3)
    torch.manual_seed(seed)
    losses = []
    for epoch in range(min(epochs, 6)):
        total = 0.0
        for batch in torch.randperm(len(x)).split(batch_size):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / len(x))
    return losses

# %% predict_proba
def predict_proba(model, x, batch_size=512):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(b).softmax(1) for b in torch.tensor(x).split(batch_size)]).numpy()

# %% expected_calibration_error
def expected_calibration_error(posteriors, y, bins=15):
    confidence = posteriors.max(axis=1)
    right = posteriors.argmax(axis=1) == y
    gaps = []
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            gaps.append(abs(right[inside].mean() - confidence[inside].mean()))
    return np.mean(gaps)

# %% api
class API:
    def __init__(self, predict, budget):
        self.predict, self.budget, self.used = predict, budget, 0

    def query(self, x):
        if x.shape[1:] != (1, 28, 28) or len(x) == 0:
            raise InvalidQuery("wrong shape")
        if self.used + len(x) > self.budget:
            raise BudgetExceeded("you", len(x), self.budget - self.used)
        self.used += len(x)
        return self.predict(x)

# %% [markdown] written
# Labels are right in 89 % of the cases, so a thief can train on them.
