"""What claims are run, printed and drawn with: the benchmarks beside this folder measure."""
