"""Data sets, one file each; `data.DataSet` says what such a file offers."""
