"""Choosing an image's own scale of the noise (Alfarra et al. 2022)."""
