"""Where a number came from, and whether that still holds.

`records.py` leaves a record beside every built file; `code.py` says which code a step ran; `audit.py` walks from a file
back to the images, `cell.py` from one number of a table; `recompute.py` makes links of that chain again;
`differences.py` explains why two files differ; `crate.py` tells all of it as an RO-Crate, from the executions
that `runs.py` gathers; `release.py` copies the workflow into it and packs it.
"""
