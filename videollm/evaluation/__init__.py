"""How good a model is, measured honestly: every figure with an interval and beside what guessing would score."""
