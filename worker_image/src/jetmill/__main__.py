"""`python -m jetmill` is `jetmill`."""

from jetmill.cli.main import main

if __name__ == "__main__":
    main()
