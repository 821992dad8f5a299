"""Several processes that serve as one: who starts and replaces them, and what they tell each other."""
