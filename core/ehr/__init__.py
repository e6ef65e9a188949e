"""Records: the MEDS store, importers, vocabulary, tasks, serialisation, leakage checks, demo cohort."""
