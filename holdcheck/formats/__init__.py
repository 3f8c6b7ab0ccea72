"""Photo formats: what a file is, what its header says, what its decode costs, and the decode itself."""
