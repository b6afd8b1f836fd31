"""What a user may ask of the server, one file a noun, its operation rows at the top."""
