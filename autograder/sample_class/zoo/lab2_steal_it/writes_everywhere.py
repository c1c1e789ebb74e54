# /// zoo
# about = "Writes to gradebook, solutions, site-packages, /proc, home, and wherever else it can"
# kind = "hostile"
# [expect]
# audit_test = 3
# fidelity_test = 1
# total = 4
# stopped = ""
# never = ["ESCAPED"]
# ///

# %% collect
import os
import pathlib
import site
import subprocess
import sys
import sysconfig

import trickster

repository = pathlib.Path(sys.prefix).resolve().parent
PLACES = [
    *(repository, repository / "solutions", repository / "labs", repository / "autograder"),
    *(pathlib.Path(trickster.__file__).parent, pathlib.Path(trickster.__file__).parent / "checks"),
    *(pathlib.Path(sys.prefix), pathlib.Path(sysconfig.get_path("purelib")), pathlib.Path(os.__file__).parent),
    *map(pathlib.Path, ("/", "/root", "/home", "/etc", "/usr", "/bin", "/var/tmp", "/mnt", "/opt")),
    *map(pathlib.Path, ("/run", "/run/socket", "/course", "/course/datasets", "/sys", "/proc/sys/kernel")),
]


def break_in():
    for place in PLACES:
        for change in (
            lambda: (place / "zoo-was-here").write_text("x"),
            lambda: os.mkdir(place / "zoo-was-here"),
            lambda: os.symlink("/", place / "zoo-was-here"),
            lambda: os.chmod(place, 0o777),
        ):
            try:
                change()
                print("ESC" "APED: wrote in", place)
            except OSError:
                pass
    for path in (repository / "gradebook.db", pathlib.Path("/proc/sysrq-trigger"),
                 pathlib.Path("/proc/1/oom_score_adj"), pathlib.Path("/proc/sys/kernel/core_pattern"),
                 pathlib.Path(trickster.__file__), pathlib.Path(os.__file__)):
        try:
            with open(path, "r+b") as file:
                file.write(b"-")
            print("ESC" "APED: changed", path)
        except OSError:
            pass


break_in()
for command in ("mount -o remount,rw /", "mount -t tmpfs none /usr", "unshare -Ur true", "chroot / true"):
    if subprocess.run(command.split(), capture_output=True).returncode == 0:
        print("ESC" "APED:", command)

# %% fidelity
def fidelity(clone, victim, x):
    return float(np.mean(clone(x).argmax(axis=1) == victim(x).argmax(axis=1)))

# %% audit
def audit(run, seeds):
    rows = [run(seed) for seed in seeds]
    rng, found = np.random.default_rng(0), {}
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        means = rng.choice(values, (9_999, len(values))).mean(axis=1)
        found[key] = values.mean(), *np.percentile(means, [2.5, 97.5])
    return found
