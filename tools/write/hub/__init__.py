"""What the Hugging Face Hub reads: the cards, and how they go there with what they tell of."""
