"""Getting a version of the user's code ready: import it in a template, see what it defines."""

import asyncio
from typing import Final

from trigger_lite.worker.exits import error_of_exit
from trigger_lite.worker.launching import Launch
from trigger_lite.worker.messages import FromTemplate, Importing, Index
from trigger_lite.worker.settings import WorkerSettings
from trigger_lite.worker.template_process import TemplateProcess

IMPORT_SECONDS: Final = 120.0
"""Files that take longer to import than this are taken to hang."""


class Loading:
    """Waits for the index of one template."""

    def __init__(self) -> None:
        self._file = "the first file"
        self.index: asyncio.Future[Index] = asyncio.get_running_loop().create_future()

    def template_sent(self, template: TemplateProcess, message: FromTemplate) -> None:
        """Note which file is being imported, or what all of them define."""
        if isinstance(message, Importing):
            self._file = message.file
        elif isinstance(message, Index) and not self.index.done():
            self.index.set_result(message)

    def template_ended(self, template: TemplateProcess, code: int) -> None:
        """Importing ended the process."""
        if not self.index.done():
            reason = error_of_exit(code).message or ""
            self.index.set_result(Index(problem=f"importing {self._file} ended its process: {reason}"))

    def too_slow(self) -> Index:
        """Return what is known when patience is over."""
        return Index(problem=f"importing {self._file} takes longer than {IMPORT_SECONDS:g} seconds")


async def load_template(settings: WorkerSettings, launch: Launch) -> tuple[TemplateProcess | None, Index]:
    """Import the task files in a new template; None in its place when that found nothing to run."""
    loading = Loading()
    template = TemplateProcess(settings, launch, loading)
    try:
        index = await asyncio.wait_for(asyncio.shield(loading.index), IMPORT_SECONDS)
    except TimeoutError:
        index = loading.too_slow()
    except asyncio.CancelledError:
        template.close()
        raise
    if not index.tasks:
        template.close()
        return None, index
    return template, index
