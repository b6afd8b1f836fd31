"""Many single calls: a window over the input, the order of each key, one outcome a row. Knows no HTTP and no files."""
