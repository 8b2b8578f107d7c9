"""A sigma of each image's own: how it is chosen (`ways/`), for whole splits (`choosing`), and its file (`chosen`)."""
