# /// zoo
# about = "Right in its own way: a module class, a flat loop, NumPy instead of torch"
# [expect]
# build_victim_test = 2
# train_victim_test = 5
# predict_proba_test = 4
# expected_calibration_error_test = 3
# api_test = 4
# total = 18
# [marks]
# written = 2
# ///

# %% build_victim
class Clothes(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 24, 5, stride=2, padding=2)
        self.second = nn.Conv2d(24, 64, 5, stride=2, padding=2)
        self.third = nn.Linear(64 * 49, 160)
        self.last = nn.Linear(160, 10)

    def forward(self, x):
        x = F.relu(self.second(F.relu(self.first(x)))).reshape(len(x), -1)
        x = F.dropout(F.relu(self.third(x)), 0.3, self.training)
        return self.last(x)


def build_victim(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Clothes()

# %% train_victim
def train_victim(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0, after_epoch=None):
    torch.manual_seed(seed)
    x, y = torch.tensor(x).to(memory_format=torch.channels_last), torch.tensor(y)
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr / 2)
    per_epoch = math.ceil(len(x) / batch_size)
    cool = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * per_epoch)
    means = []
    model.train()
    while len(means) < epochs:
        order = torch.randperm(len(x))
        sums = []
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            for p in model.parameters():
                p.grad = None
            scores = model(x[rows])
            loss = (scores.logsumexp(1) - scores.gather(1, y[rows, None])[:, 0]).mean()
            loss.backward()
            optimizer.step()
            cool.step()
            sums.append(loss.item() * len(rows))
        means.append(sum(sums) / len(x))
    model.eval()
    return np.array(means)

# %% predict_proba
def predict_proba(model, x, batch_size=512):
    mode = model.training
    model.train(False)
    out = np.empty((len(x), 10), dtype=np.float64)
    with torch.inference_mode():
        for start in range(0, len(x), batch_size):
            scores = model(torch.tensor(x[start : start + batch_size])).double().numpy()
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[start : start + batch_size] = scores / scores.sum(axis=1, keepdims=True)
    model.train(mode)
    return out

# %% expected_calibration_error
def expected_calibration_error(posteriors, y, bins=15):
    confidence = posteriors.max(axis=1)
    right = posteriors.argmax(axis=1) == y
    bin_of = np.digitize(confidence, np.arange(1, bins) / bins, right=True)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return np.abs(gaps).sum() / len(y)

# %% api
class API:
    def __init__(self, predict, budget):
        self.predict, self.budget, self.left = predict, budget, budget

    @property
    def used(self):
        return self.budget - self.left

    def query(self, x):
        problem = self.problem_with(x)
        if problem:
            raise InvalidQuery(problem)
        if len(x) > self.left:
            raise BudgetExceeded("you", len(x), self.left)
        self.left -= len(x)
        return self.predict(x)

    def problem_with(self, x):
        if np.ndim(x) != 4 or np.shape(x)[1:] != (1, 28, 28):
            return "not a batch of 28x28 pictures"
        if len(x) == 0:
            return "no picture"
        if x.dtype not in (np.float32, np.float64):
            return "not floats"
        if not ((x >= 0) & (x <= 1)).all():  # False for NaN too
            return "pixels outside [0, 1]"

# %% [markdown] written
# An honest shop loses the doubt: with an error of about four points, the probabilities say which
# answers a person should look at again. A thief still gets a label for each picture, right in 886
# cases of 1,000. The meter limits how many answers one account gets; it does not change what an
# answer is worth, nor see that one person has ten accounts.
