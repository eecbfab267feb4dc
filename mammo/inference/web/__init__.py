"""Web calculator: one exam in, one page out; nothing stored, nothing asked of any other host.

Predictor, limits -> web application of tools/serve.py
"""
