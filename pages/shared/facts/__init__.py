"""What only the Model facts page draws."""
