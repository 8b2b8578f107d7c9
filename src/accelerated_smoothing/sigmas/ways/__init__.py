"""Ways of choosing a noise level for each image, one file each; `sigmas.Way` says what such a file offers."""
