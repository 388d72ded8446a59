"""What experiments found, drawn."""
