"""`python -m daemon` is `quotawatt`."""

from daemon.cli import main

main()
