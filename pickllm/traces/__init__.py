"""Where traces come from, and where they go."""
