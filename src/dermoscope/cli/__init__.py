"""The command line. One module per verb group; each parses, calls and prints."""
