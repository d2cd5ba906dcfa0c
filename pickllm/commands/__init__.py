"""The commands: arguments in, one call, a few lines printed."""
