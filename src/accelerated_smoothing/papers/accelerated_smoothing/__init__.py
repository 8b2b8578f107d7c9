"""Tables and figures of Accelerated Smoothing (arXiv 2402.07498)."""
