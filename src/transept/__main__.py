"""`python -m transept` is the command `transept`."""

from transept.cli.main import main

if __name__ == "__main__":
    main()
