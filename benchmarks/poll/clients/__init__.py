"""The clients in Python. Each runs as a program: LOAD-AS-JSON PORT; prints its outcome as JSON."""
