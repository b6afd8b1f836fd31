"""What is published: the wheel and the sdist, built here, looked into, and used with few packages installed."""
