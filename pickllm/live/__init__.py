"""LLMs of one's own: recording their answers, and routing queries to them."""
