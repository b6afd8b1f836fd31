"""Many single calls: a window over the input, the order of each key, one outcome per row. Knows no HTTP, no files."""
