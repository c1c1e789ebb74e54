# On your own machine this cell does nothing. On Colab it installs the course library,
# and leaves torch and the other large packages as they are.
import importlib.metadata
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

REPOSITORY, BRANCH = "{{repository}}", "{{branch}}"
if importlib.util.find_spec("trickster") is None:
    if "YOUR-ORGANISATION" in REPOSITORY:
        raise RuntimeError(
            "This copy of the course does not know where its library lives. Run `make lab` in the "
            "repository; or, as its instructor, write its address into course.toml and rebuild."
        )
    keep = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "pillow")
    there = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    pins = [f"{name}=={there[name]}" for name in keep if name in there]
    constraints = pathlib.Path(tempfile.mkdtemp()) / "constraints.txt"
    constraints.write_text("\n".join(pins))
    source = f"trickster @ git+{REPOSITORY}@{BRANCH}"
    command = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), source]
    subprocess.run(command, check=True)
    importlib.invalidate_caches()
