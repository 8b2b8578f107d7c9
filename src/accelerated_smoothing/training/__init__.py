"""Ways of training, one file each; what they share is `loop.py`."""
