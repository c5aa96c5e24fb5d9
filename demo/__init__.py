"""The page: one file a tab. Draws and listens; what it shows is computed by the packages."""

__version__ = "0.1.0"
