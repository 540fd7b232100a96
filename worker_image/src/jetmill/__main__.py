"""`python -m jetmill` is `jetmill`."""

from jetmill.init import main

if __name__ == "__main__":
    main()
