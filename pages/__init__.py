"""The dashboard's pages: one thin Streamlit script each."""
