"""`python -m trigger_lite` is `trigger-lite`."""

from trigger_lite.cli.main import main

if __name__ == "__main__":
    main()
