# Runs a program of virtnbdbackup on libvirt's embedded driver, which wants an
# event loop in the process: python3 peer.py PROGRAM ARGUMENTS...
import runpy
import sys
import threading

import libvirt

libvirt.virEventRegisterDefaultImpl()


def events():
    while True:
        libvirt.virEventRunDefaultImpl()


threading.Thread(target=events, daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
