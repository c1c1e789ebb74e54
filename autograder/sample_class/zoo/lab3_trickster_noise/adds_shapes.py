# /// zoo
# about = "Sends 2,900 shapes beside the hundred real pictures, and believes the answers"
# [expect]
# spend_test = 0
# total = 0
# shows = ["Which pictures would the defence answer truthfully?"]
# ///

# %% spend
def spend(x_shapes, real, ask):
    x = np.concatenate([x_shapes[:2_900], real])
    return x, ask(x)
