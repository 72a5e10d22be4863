"""The update server, and the command line of publishers and operators."""
