"""The REST interface, one resource a file. A route parses, calls one use case and answers."""
