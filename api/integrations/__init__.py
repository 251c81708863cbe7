"""Tablegate beside the tools people already have: one module a tool, its library imported by nothing else.

Every library here is an extra and is imported only when its function is called, so that neither the core nor a release
without it gets slower or larger. What a tool says of real rows is internal, whoever computed it.
"""
