"""The command line: one small file a command; each parses, calls a public function and prints.

Every verb's module has ``add_arguments(parser)``, ``run(arguments) -> int`` and ``EXAMPLES``.
Nothing heavy is imported before ``run`` needs it.
"""
