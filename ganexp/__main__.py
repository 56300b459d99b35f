"""``python -m ganexp``: the same as the console script."""

from ganexp.cli.main import main

if __name__ == "__main__":
    main()
