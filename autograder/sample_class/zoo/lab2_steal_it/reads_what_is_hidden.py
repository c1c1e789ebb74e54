# /// zoo
# about = "Looks for solutions, gradebook, other submissions, checks and bars on the whole disk"
# kind = "hostile"
# [expect]
# fidelity_test = 2
# total = 2
# stopped = ""
# never = ["ESCAPED"]
# ///

# %% collect
import importlib
import os
import pathlib
import sys

SECRET = ("gradebook.db", "hidden_pool.py", "thresholds.py", "course.toml", "nbgrader_config.py", "id_rsa")
SKIPPED = ("/proc", "/sys", "/dev")


def look():
    found = []
    for folder, folders, files in os.walk("/"):
        folders[:] = [one for one in folders if os.path.join(folder, one) not in SKIPPED
                      and not one.endswith("-packages")]
        found += [os.path.join(folder, one) for one in files if one in SECRET]
        found += [os.path.join(folder, one) for one in files if one.startswith("lab")
                  and one.endswith((".ipynb", "steal_it.py"))]
        found += [os.path.join(folder, one) for one in folders
                  if one in ("solutions", "submitted", "autograded", "autograder")]
    return found


def read(path):
    try:
        text = pathlib.Path(path).read_text(errors="replace")
        return text or " "
    except OSError:
        return ""


def library():
    """The checks' modules, as the student's process has them."""
    for name in ("thresholds", "hidden_pool", "result"):
        try:
            importlib.import_module(f"trickster.checks.{name}")
            yield f"trickster.checks.{name} can be imported"
        except ImportError:
            pass
    for name in ("lab1", "lab2", "lab3", "lab4"):
        module = importlib.import_module(f"trickster.checks.{name}")
        if "POOL_SEED" in dir(module) or "def _one_theft" in read(module.__file__):
            yield f"trickster.checks.{name} is the real one"


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
