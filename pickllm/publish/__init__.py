"""Publish: the report, tables for a paper, receipts, citations and the archive."""
