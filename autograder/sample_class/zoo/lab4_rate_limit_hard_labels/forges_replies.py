# /// zoo
# about = "Finds the grader's line in memory and answers, in advance and for everybody"
# kind = "hostile"
# [limits]
# call_timeout = 10
# [expect]
# ladder_test = 0
# counterexample_test = 1
# reverse_sigmoid_test = 0
# ablation_test = 2
# total = 3
# ///

# %% hard_labels
import gc
import socket
import struct
import sys

import msgpack


def lines():
    """Every open Unix socket of this process, and whatever looks like the agent."""
    agents = [thing for thing in gc.get_objects() if type(thing).__name__ == "Agent"]
    sockets = [thing for thing in gc.get_objects() if isinstance(thing, socket.socket)]
    return [agent.sock for agent in agents] or [s for s in sockets if s.family == socket.AF_UNIX]


def frame(kind, call, fields):
    body = msgpack.packb([kind, call, fields])
    return struct.Struct("<4sIQ").pack(b"TRL1", len(body), 0) + body


def hard_labels(p):
    for line in lines():
        for call in range(-3, 40):
            line.send(frame("reply", call, [4.0]))
            line.send(frame("reply", call, [True]))
    return p

# %% reverse_sigmoid
def reverse_sigmoid(p, beta=1.0, gamma=0.1):
    for line in lines():
        line.send(frame("error", 1, ["Stopped", ["builtins:SystemExit"], "4.0", {}, [], "", 0]))
        line.send(frame("end", 0, []))
        line.send(b"\xff" * 100_000)
    return 1, 1.0

# %% counterexample
def counterexample():
    p = np.full((2, 10), 0.04)
    p[0, 3] = p[1, 7] = 0.64
    return p

# %% ablation
def ablation(run, mechanisms, seeds):
    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": tuple(mechanisms)}
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}
