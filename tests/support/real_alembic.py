"""Alembic trees made by Alembic itself, and databases migrated by it."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

# What stands in the template's env.py, without logging of its own.
_ENV = """
from alembic import context
from sqlalchemy import NullPool, create_engine
engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""


class AlembicTree:
    """``folder`` is a repository's top; its scripts lie in ``db/``, the revision files in ``db/versions``."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.config = Config(str(folder / "alembic.ini"))
        self.config.set_main_option("script_location", str(folder / "db"))
        self.config.set_main_option("sqlalchemy.url", url)
        self.config.attributes["configure_logger"] = False
        logging.getLogger("alembic").setLevel(logging.ERROR)
        command.init(self.config, str(folder / "db"))
        (folder / "db" / "env.py").write_text(_ENV)

    def revision(self, name: str, up: str = "pass", down: str | None = "pass", **more: object) -> str:
        """A new revision file by ``alembic revision``; ``down`` None takes downgrade() out."""
        made = command.revision(self.config, name, **more)  # type: ignore[arg-type]
        path = Path(made.path)
        text = path.read_text()
        text = text.replace('"""Upgrade schema."""\n    pass', f'"""Upgrade schema."""\n    {up}')
        if down is None:
            text = text[: text.index("def downgrade")]
        else:
            text = text.replace('"""Downgrade schema."""\n    pass', f'"""Downgrade schema."""\n    {down}')
        path.write_text(text)
        return str(made.revision)

    def upgrade(self, to: str = "heads") -> None:
        command.upgrade(self.config, to)

    def run(self, commands: str) -> None:
        """What our report says to type: ``alembic downgrade A && alembic downgrade B``."""
        for one in commands.split(" && "):
            found = re.fullmatch(r"alembic downgrade (\S+)", one)
            assert found, one
            command.downgrade(self.config, found[1])

    @property
    def scripts(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(self.config)

    def files(self) -> dict[str, str]:
        """As GitCheckout.read_files would bring them, below ``db``."""
        return {
            str(path.relative_to(self.folder)): path.read_text()
            for path in sorted((self.folder / "db").rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
