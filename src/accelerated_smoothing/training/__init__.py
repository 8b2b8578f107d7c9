"""Training: the base classifier f in one of several ways (`ways/`, `base.py`), and the surrogate (`surrogate.py`).

What all of them share is `loop.py`.
"""
