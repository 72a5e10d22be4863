"""Notes: a window with lines of text, and an agent inside that keeps it up to date."""

from __future__ import annotations

import json
import queue
import signal
import sys
import tkinter as tk
from pathlib import Path

from built_in import ROOT_JSON, SERVER, VERSION

from client_agent import Agent, UpdateInfo

SCHEMA = 1
HEAD, READY = "#2a6f97", "#ffd166"
POLL_MS = 100


class Notebook:
    """The notes in a file outside the app's folders: ``{"schema": 1, "notes": ["milk"]}``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if found.get("schema", SCHEMA) > SCHEMA:
            raise SystemExit(f"{path} was written by a newer version")
        self.notes: list[str] = found.get("notes", [])

    def add(self, text: str) -> None:
        """Add a note, durably enough for notes: the file is never half written."""
        self.notes.append(text)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"schema": SCHEMA, "notes": self.notes}), "utf-8")
        new.replace(self._path)


class Window(tk.Tk):
    """What is on the screen."""

    def __init__(self, notebook: Notebook) -> None:
        super().__init__(className="Notes")
        self.title(f"Notes {VERSION}")
        self.geometry("420x300+0+0")
        self.restart_wanted = False
        self._notebook = notebook
        head = tk.Label(self, text=f"Notes {VERSION}", bg=HEAD, fg="white", pady=6)
        head.pack(fill="x")
        self._ready = tk.Frame(self, bg=READY)
        self._list = tk.Frame(self)
        self._list.pack(fill="both", expand=True, padx=8, pady=8)
        self._entry = tk.Entry(self)
        self._entry.pack(side="bottom", fill="x", padx=8, pady=8)
        self._entry.bind("<Return>", self._add)
        self._entry.focus_force()
        for note in notebook.notes:
            self._show(note)

    def tell_ready(self, version: str) -> None:
        """Show the line that an update is ready."""
        text = f"Notes {version} is ready: the next start has it."
        tk.Label(self._ready, text=text, bg=READY).pack(side="left", padx=8)
        button = tk.Button(self._ready, text="Restart now", command=self._restart)
        button.pack(side="right", padx=8, pady=4)
        self._ready.pack(fill="x", before=self._list)

    def _add(self, _event: object) -> None:
        self._notebook.add(self._entry.get())
        self._show(self._notebook.notes[-1])
        self._entry.delete(0, "end")

    def _show(self, note: str) -> None:
        tk.Label(self._list, text=f"• {note}", anchor="w").pack(fill="x")

    def _restart(self) -> None:
        self.restart_wanted = True
        self.destroy()


def main() -> None:
    """Show the notes until the window is closed."""
    told: queue.SimpleQueue[UpdateInfo] = queue.SimpleQueue()  # from the agent's thread to Tk's
    agent = Agent.for_app(
        app="notes",
        version=VERSION,
        root_metadata=ROOT_JSON,
        server=SERVER,
        on_staged=told.put,
        on_restart_wanted=told.put,
    )
    agent.start()
    agent.data_schema(SCHEMA)
    window = Window(Notebook(Path(sys.argv[1])))
    window.report_callback_exception = lambda _kind, error, _trace: agent.capture(error)

    def poll() -> None:
        while not told.empty():
            window.tell_ready(told.get().version)
        window.after(POLL_MS, poll)

    signal.signal(signal.SIGTERM, lambda _number, _frame: window.destroy())
    poll()
    window.update()  # it is on the screen
    agent.healthy()
    window.mainloop()
    agent.close()
    if window.restart_wanted:
        agent.restart()


if __name__ == "__main__":
    main()
