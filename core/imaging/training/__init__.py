"""Training of the shipped segmenters, and the phantoms that are mixed into it."""
