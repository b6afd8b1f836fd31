"""The command line ``spotdx``, on the public face of the package only; its libraries are the ``cli`` extra."""
