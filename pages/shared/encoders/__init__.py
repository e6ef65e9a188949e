"""The choice of the text encoder, shared by Patients and Risk."""
