"""Distributions of the noise under which a classifier is smoothed, one file each.

A distribution has a scale (sigma of the Gaussian, lambda of the uniform, b of the Laplace distribution), in pixels of
[0,1], which may differ from image to image (Alfarra et al. 2022). It is a module here with

- `NORM`: of the ball in which its certificates hold, "l1" or "l2";
- `radius(p_lower, scale)`: that ball's radius where the top class has probability at least p_lower and every other
  class at most 1 - p_lower; arrays of shapes that fit each other; 0 where p_lower <= 1/2;
- `margin(p_a, p_b, scale)`: the radius from the probabilities p_a of a class and p_b of the best other one, tensors or
  numbers with a gradient; negative where p_a < p_b, and equal to `radius` at p_b = 1 - p_a;
- `standard(shape, random, device)`: a tensor of independent elements at scale 1, for training.

The noise of certification comes from `noise.py`, which knows each distribution by the module's name.
"""
