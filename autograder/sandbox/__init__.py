"""Runs a submission where it can do no harm: see nothing, reach nobody, outlast nothing.

`policy` says what is visible, `limits` how much may be used, `bwrap` and `seccomp` how the
walls are built, `box` is one running sandbox, `watch` guards it, `kernel` starts Jupyter kernels
in it (`provisioner` for Jupyter's own doors), and `doctor` proves all that by trying it.
"""
