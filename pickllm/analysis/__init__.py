"""Sessions and outcomes to tables, verdicts and sentences."""
