"""Ways of training the base classifier, one file each; `training.Way` says what such a file offers."""
