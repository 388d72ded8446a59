"""What a run came to, for people: summary, stages, explanations, previews, the pages."""
