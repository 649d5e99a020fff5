"""The commands that this application adds to `switchyard`: `module:attribute` and the line in `switchyard --help`.

A module apart from the App: `switchyard --help` reads it, and must not import a contract for that.
"""

COMMANDS = {
    "email": ("services.specialists.email_sender.commands:app", "List and resolve emails whose delivery is unknown."),
    "rules": ("services.specialists.compliance.commands:app", "List the rules of the compliance gate."),
}
