"""How fast the kit is, beside others, in one run: `make bench` (see `__main__`)."""
