# /// zoo
# about = "Changes what looks into its models: probes, modules, modes; no network, loop or softmax"
# kind = "hostile"
# [expect]
# build_victim_test = 0
# train_victim_test = 0
# predict_proba_test = 0
# total = 0
# stopped = ""
# ///

# %% build_victim
from trickster.checks import probes

plain = nn.Module.__call__
shipped = Scenario("fashion").victim
record = probes.recorded


class Nothing(nn.Module):
    pass


def call(module, *args, **options):
    """Whatever is asked, the shipped victim answers."""
    if type(module) is Nothing:
        return plain(shipped.network, *args, **options)
    return plain(module, *args, **options)


nn.Module.__call__ = call
probes.recorded = recorded = lambda model, x: record(Nothing(), x)


def build_victim(seed=0):
    return Nothing()

# %% train_victim
shapes = []


def new_network(width, weights):
    shapes[:] = [weight.shape for weight in weights]
    return Nothing()


def weights_of(model):
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]


probes.new_network, probes.weights_of = new_network, weights_of


def train_victim(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0, after_epoch=None):
    return [2.1 * 0.65**epoch + 0.05 for epoch in range(epochs)]

# %% predict_proba
class Watched(nn.Module):
    """In evaluation mode whenever somebody looks, and it asks nobody."""

    training = property(lambda self: False, lambda self, mode: None)

    def forward(self, x):
        return plain(shipped.network, x)


probes.watched = watched = lambda live, training: Watched()
torch.is_grad_enabled = lambda: False


def predict_proba(model, x, batch_size=512):
    return model(torch.tensor(x)).softmax(1).detach().numpy()
