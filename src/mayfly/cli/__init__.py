"""The command line: Docker's habits, spoken over HTTP and nothing else.

It knows a running platform by its data folder (`endpoint.json` and `key.json` in it) and talks
to it as any other client would: AWS's API for calls, `/_mayfly/` for the rest, every request
signed. It never imports the platform's rooms: `mayfly up` starts the daemon as a program.

    main ----> commands/NAME ----> client ----> signer
      |             |                `-> running (which platform, where)
      `-> failure   `-> display, progress, packing

Its one idea is that a command starts in the time that an interpreter needs: a command's module
is imported when it is called, Rich when a table is drawn.
"""
