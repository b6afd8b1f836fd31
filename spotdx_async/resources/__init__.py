"""What a user may ask of the server, one file per noun, its operation rows at the top."""
