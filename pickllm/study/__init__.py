"""Which notebooks run, with which parameters, and what they leave."""
