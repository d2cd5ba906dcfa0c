"""What others would try: other learners, contexts, a world that changes, bounds."""
