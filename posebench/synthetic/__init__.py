"""The datasets that posebench draws itself: scenes, figures, annotations."""
