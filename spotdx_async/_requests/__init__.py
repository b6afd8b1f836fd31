"""What can be asked of the server, and how an answer to it is recognised; pure and private."""
