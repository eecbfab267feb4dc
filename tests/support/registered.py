"""To import this registers all names of the project, and builds from its scope, as the tools do."""

from mmengine.registry import init_default_scope

import dataset  # noqa: F401
import mammo.engine  # noqa: F401
import models  # noqa: F401

init_default_scope('mammo')
