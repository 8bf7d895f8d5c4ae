"""What a page says in words, computed from its values: the answer, the terms, the notes."""
