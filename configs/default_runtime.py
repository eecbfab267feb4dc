_base_ = './_base_/default_runtime.py'  # the name that the published config files read
