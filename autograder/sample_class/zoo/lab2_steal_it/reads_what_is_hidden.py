# /// zoo
# about = "Looks for solutions, gradebook, other submissions, checks and bars on the whole disk"
# kind = "hostile"
# [expect]
# fidelity_test = 1
# total = 1
# stopped = ""
# never = ["ESCAPED"]
# ///

# %% collect
import os
import pathlib

import trickster.checks

CHECKS = pathlib.Path(trickster.checks.__file__).parent
SHOWN = ("__init__.py", "probes.py")  # the labs import these
SECRET = ("gradebook.db", "hidden_pool.py", "thresholds.py", "course.toml", "nbgrader_config.py", "id_rsa",
          "grading_secret.txt", "fashion_reserve.npz")
SKIPPED = ("/proc", "/sys", "/dev", str(CHECKS))


def look():
    found = []
    for folder, folders, files in os.walk("/"):
        folders[:] = [one for one in folders if os.path.join(folder, one) not in SKIPPED
                      and not one.endswith("-packages")]
        found += [os.path.join(folder, one) for one in files if one in SECRET]
        found += [os.path.join(folder, one) for one in files if one.startswith("lab")
                  and one.endswith((".ipynb", "steal_it.py"))]
        found += [os.path.join(folder, one) for one in folders
                  if one in ("solutions", "submitted", "autograded", "autograder", "held_back")]
        found += [os.path.join(folder, one) for one in files if folder.endswith("/checks")
                  and one.endswith(".npz")]
    return found


def read(path):
    try:
        text = pathlib.Path(path).read_text(errors="replace")
        return text or " "
    except OSError:
        return ""


def library():
    """The checks' modules: all of them should be one and the same, which does nothing."""
    texts = {}
    for path in sorted(CHECKS.rglob("*.py")):
        if path.name not in SHOWN:
            texts.setdefault(read(path), []).append(path.name)
    if len(texts) != 1:
        yield f"there are several kinds of checks: {list(texts.values())}"
    for text in texts:
        if any(word in text for word in ("@check(", "Threshold(", "rng", "import numpy")):
            yield f"a check can be read: {text[:80]}"


for place in look():
    print("ESC" "APED: there is", place, len(read(place)))
for place in ("/etc/shadow", "/root/.bashrc", "/proc/1/environ", "/proc/kcore", "/proc/1/mem"):
    if read(place).strip("\0 "):
        print("ESC" "APED: can read", place)
for sentence in library():
    print("ESC" "APED:", sentence)
for pid in [one for one in os.listdir("/proc") if one.isdigit()]:
    for word in ("autograder", "nbgrader", "submitted", "gradebook"):
        if word in read(f"/proc/{pid}/cmdline") + read(f"/proc/{pid}/environ"):
            print("ESC" "APED: sees the grader")

# %% fidelity
def fidelity(clone, victim, x):
    return float(np.mean(clone(x).argmax(axis=1) == victim(x).argmax(axis=1)))
