"""Encoders: from record text to one vector."""
