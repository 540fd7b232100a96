"""The routes, one module for each resource; every handler declares its right."""
