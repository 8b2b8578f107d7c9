"""Distributions of noise, one file each; `noise.Distribution` says what such a file offers."""
