"""JSON to models and back; private."""
