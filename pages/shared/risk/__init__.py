"""What only the Risk page draws."""
