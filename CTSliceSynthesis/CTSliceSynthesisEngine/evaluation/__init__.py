"""Room 4, is it true: figures against a truth that was held out, tables and pictures of them."""
