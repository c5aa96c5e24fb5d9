"""One file a claim; each runs us and the alternative side by side in one process."""
