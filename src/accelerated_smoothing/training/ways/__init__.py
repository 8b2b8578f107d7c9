"""Ways of training the base classifier, one file each.

A way of training is a module here with

- `Settings`: a `config.Base` with the way's own fields and their defaults;
- `passes(settings)`: how many copies of an image go forward and backward through the network in one step;
- `loss(f, images, labels, sigma, settings)`: the mean over a batch, a scalar to be differentiated with respect to the
  weights. `f` is a `base.Smoothed`: its passes, its noise and its radius; images [b, *shape] are in [0,1] pixels,
  labels are [b], and sigma [b] is the scale of each image's own noise.

The Snakefile reads the settings, so such a module imports torch in its functions alone.
"""
