"""Records in; pages, figures and tables out."""
