"""The command line ``spotdx``, on the public face of the package alone."""
