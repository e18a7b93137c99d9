"""What is said about the pocket world: questions and answers, captions, descriptions, dialogues, and their scoring."""
