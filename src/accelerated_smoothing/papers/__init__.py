"""The papers, one folder each: their tables and figures."""
