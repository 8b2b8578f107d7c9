"""Counting predictions under noise: engines predict, `sampling` counts, `counts` is the file."""
