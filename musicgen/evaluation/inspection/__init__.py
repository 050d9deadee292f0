"""Inspection of a network: gradients, attention, embeddings, surprise, memory.

Every module measures with one function, whose result is plain numbers, and draws with another.
"""
