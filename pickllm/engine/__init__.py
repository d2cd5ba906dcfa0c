"""The same draws and the same loop, fast: numbers in, numbers out."""
