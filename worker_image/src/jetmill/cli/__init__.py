"""The command line `jetmill`: Typer commands, one module for each group; what is heavy is imported inside them."""
