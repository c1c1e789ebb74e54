# /// zoo
# about = "Invented losses and the shipped victim, where a network and a loop are asked for"
# kind = "hostile"
# [expect]
# build_victim_test = 0
# train_victim_test = 0
# predict_proba_test = 0
# total = 0
# stopped = ""
# ///

# %% build_victim
def build_victim(seed=0):
    return Scenario("fashion").victim.network

# %% train_victim
def train_victim(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0, after_epoch=None):
    shipped = Scenario("fashion").victim.network.state_dict()
    ours = model.state_dict()
    if [value.shape for value in ours.values()] == [value.shape for value in shipped.values()]:
        model.load_state_dict(dict(zip(ours, shipped.values())))
    return [2.1 * 0.65**epoch + 0.05 for epoch in range(epochs)]

# %% predict_proba
def predict_proba(model, x, batch_size=512):
    return Scenario("fashion").victim.posteriors(x)
