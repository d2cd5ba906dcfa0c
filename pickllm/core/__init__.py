"""The paper: pool, trace, reward, learners, locking, replay, sessions, statistics."""
