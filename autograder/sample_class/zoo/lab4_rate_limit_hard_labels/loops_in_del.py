# /// zoo
# about = "Objects that never die: a loop in __del__, and another at the end of the process"
# kind = "hostile"
# [limits]
# call_timeout = 4
# timeout = 30
# grace = 2
# [expect]
# ladder_test = 0
# counterexample_test = 1
# reverse_sigmoid_test = 0
# total = 1
# ///

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% hard_labels
import atexit
import signal


class Undying:
    def __call__(self, *args):
        return self

    def __del__(self):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass


def forever():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


atexit.register(forever)


def hard_labels(p):
    return p

# %% reverse_sigmoid
def reverse_sigmoid(p, beta=1.0, gamma=0.1):
    return Undying(), Undying()
