"""The page: one folder a tab, the same file names in each. Draws and listens; the packages compute what it shows."""

__version__ = "0.2.0"
