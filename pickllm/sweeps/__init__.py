"""Many settings at once: as data, replayed in chunks, kept in a folder."""
