"""What the project costs, measured against a floor in C and against what others use (docs/benchmarks.md)."""
