"""`python -m docs.generate`: write the pages anew."""

from docs.generate.pages import FOLDER, pages

FOLDER.mkdir(exist_ok=True)
for name, text in pages().items():
    (FOLDER / name).write_text(text)
