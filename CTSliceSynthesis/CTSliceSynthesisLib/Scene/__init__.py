"""MRML nodes: scans, results, sequences, and the provenance stored with a result."""
