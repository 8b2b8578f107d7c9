"""Methods of certification, one file each; `certify` says what a method is."""
