"""Notes: a window with lines of text to tick off, and an agent inside that keeps it up to date."""

from __future__ import annotations

import json
import queue
import signal
import sys
import tkinter as tk
from pathlib import Path

from built_in import ROOT_JSON, SERVER, VERSION

from client_agent import Agent, UpdateInfo

SCHEMA = 2
HEAD, READY = "#2d6a4f", "#ffd166"
POLL_MS = 100


class Notebook:
    """The notes in a file outside the app's folders.

    Schema 1: ``{"schema": 1, "notes": ["milk"]}``; 2: ``[["milk", true]]``, bought or not.
    Both are read, and what is found is written, until ``migrate`` is called.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        found = json.loads(path.read_text("utf-8")) if path.exists() else {}
        self.schema: int = found.get("schema", 1)
        if self.schema > SCHEMA:
            raise SystemExit(f"{path} was written by a newer version")
        notes = found.get("notes", [])
        self.notes: list[tuple[str, bool]] = [
            (note, False) if self.schema == 1 else (note[0], note[1]) for note in notes
        ]

    def migrate(self) -> None:
        """Bring the file to this version's schema. No older version can read it from then on."""
        self.schema = SCHEMA
        self._write()

    def add(self, text: str) -> None:
        """Add a note."""
        self.notes.append((text, False))
        self._write()

    def tick(self, number: int, done: bool) -> None:
        """Note that it is done, or not."""
        self.notes[number] = (self.notes[number][0], done)
        self._write()

    def _write(self) -> None:
        notes = [text for text, _ in self.notes] if self.schema == 1 else self.notes
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"schema": self.schema, "notes": notes}), "utf-8")
        new.replace(self._path)  # never half written


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
        for number in range(len(notebook.notes)):
            self._show(number)

    def tell_ready(self, version: str) -> None:
        """Show the line that an update is ready."""
        text = f"Notes {version} is ready: the next start has it."
        tk.Label(self._ready, text=text, bg=READY).pack(side="left", padx=8)
        button = tk.Button(self._ready, text="Restart now", command=self._restart)
        button.pack(side="right", padx=8, pady=4)
        self._ready.pack(fill="x", before=self._list)

    def _add(self, _event: object) -> None:
        self._notebook.add(self._entry.get())
        self._show(len(self._notebook.notes) - 1)
        self._entry.delete(0, "end")

    def _show(self, number: int) -> None:
        text, done = self._notebook.notes[number]
        ticked = tk.BooleanVar(self, done)
        tk.Checkbutton(
            self._list,
            text=text,
            anchor="w",
            variable=ticked,
            state="normal" if self._notebook.schema == SCHEMA else "disabled",
            command=lambda: self._notebook.tick(number, ticked.get()),
        ).pack(fill="x")

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
    notebook = Notebook(Path(sys.argv[1]))
    # On trial this waits, for 1.0.0 must still read the file; the first start after that does it.
    if notebook.schema < SCHEMA and agent.may_migrate(SCHEMA) and agent.data_schema(SCHEMA):
        notebook.migrate()
    window = Window(notebook)
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
