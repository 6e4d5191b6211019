"""Estimates and results make pages, tables and cards. Pictures arrive as bytes."""
