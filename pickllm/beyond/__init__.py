"""What others would try: learners, scenarios, bounds beyond the paper's."""
