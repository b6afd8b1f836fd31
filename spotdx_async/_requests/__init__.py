"""What can be asked of the server, and how an answer to it is recognized; pure and private."""
