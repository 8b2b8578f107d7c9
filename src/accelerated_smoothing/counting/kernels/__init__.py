"""Kernels for the blocks of a network on a GPU, one file for each kind; `fusing.py` says what a file offers."""
