"""Generators trained by gradient descent: DP-CTGAN and PATE-GAN, on a shared warm start.

Plans need no torch and are read without it; only what runs during a fit, and the fitted model, imports it.
"""
