"""`compassign …`: the shell's face of the core. It parses words and prints; it computes nothing."""
