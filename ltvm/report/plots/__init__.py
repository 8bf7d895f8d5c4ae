"""Figures, by matplotlib and seaborn: which a report has, and how each is drawn."""
