"""The fault matrix: ``faults.toml`` says what a caller gets from every fault, and these tests make each line true."""
