# /// zoo
# about = "SIGKILL to its parent, to all that it may reach, and to itself"
# kind = "hostile"
# [expect]
# ladder_test = 0
# counterexample_test = 1
# total = 1
# stopped = "process"
# ///

# %% hard_labels
import os
import signal

for pid in (os.getppid(), 1):
    if pid != os.getpid():
        try:
            os.kill(pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% token_bucket
try:
    os.killpg(0, signal.SIGKILL)
finally:
    os.kill(-1, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
