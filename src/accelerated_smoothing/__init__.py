"""Accelerated Smoothing (arXiv 2402.07498) and its relatives, as verbs that a Snakemake workflow chains."""
