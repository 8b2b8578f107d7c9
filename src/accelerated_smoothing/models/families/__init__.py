"""Families of networks, one file each; `models.Family` says what such a file offers."""
