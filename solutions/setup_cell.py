# @title Set-up: run this cell first
# Where the course library is installed, as on your own machine after `make lab`, it installs nothing. On
# Colab it installs the library, and keeps Colab's versions of torch and the other large packages.
import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

# Two threads of NumPy's wait for torch's, and small problems then take many times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
REPOSITORY, BRANCH = "{{repository}}", "{{branch}}"
if importlib.util.find_spec("trickster") is None:
    if "YOUR-ORGANISATION" in REPOSITORY:
        raise RuntimeError(
            "The course library is not installed, and this copy of the course has no address to "
            "download it from. On your own machine, type `make lab` in the course's folder. If you "
            "teach the course: write its address into course.toml, then type `make build`."
        )
    print("Installing the course library; this takes about a minute.")
    keep = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "pillow")
    there = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    pins = [f"{name}=={there[name]}" for name in keep if name in there]
    constraints = pathlib.Path(tempfile.mkdtemp()) / "constraints.txt"
    constraints.write_text("\n".join(pins))
    source = f"trickster @ git+{REPOSITORY}@{BRANCH}"
    command = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), source]
    if subprocess.run(command).returncode:
        raise RuntimeError(
            "pip could not install the course library; what it says stands above. Check that this "
            f"machine reaches {REPOSITORY}, then run this cell again."
        )
    importlib.invalidate_caches()
    if "google.colab" in sys.modules:
        print("To keep your work: File > Save a copy in Drive. To hand it in: File > Download.")
print("The course library is installed. Go on with the next cell.")
