"""The only way in for a visitor's bytes: pictures, meshes, texts, tables, numbers, choices and JSON, with their limits.

Imports nothing: the process that reads a mesh imports this package, and must not pay for Pillow and torch.
"""
