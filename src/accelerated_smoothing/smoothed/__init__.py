"""Certificates for a classifier of one's own: `classifier.Smoothed`, and what the verb `certify-images` shares with it.

- `settings`: what can be asked for.
- `inputs`: images of any kind.
- `networks`: a module or a file as a classifier on an engine, tried before any work.
- `blocks`: counting of many images in blocks that fit into memory.
- `classifier`: `Smoothed`.
"""
