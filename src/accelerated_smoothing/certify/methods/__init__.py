"""One file per method of certification; `accelerated_smoothing.certify.Method` says what it offers."""
