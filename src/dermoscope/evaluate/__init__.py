"""Labels and probabilities make estimates."""
