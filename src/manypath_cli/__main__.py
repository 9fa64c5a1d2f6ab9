"""``python -m manypath_cli``: the same as the ``manypath`` command."""

import sys

from manypath_cli.main import main

sys.exit(main())
