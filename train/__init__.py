"""Training programs: pretraining of the built-in towers, stage 1 (captions) and stage 2 (questions and answers)."""
