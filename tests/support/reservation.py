"""Addresses and ports for one Outport under test: free on this host, and no other test's.

`crates/task-network/tests/support/reservation.rs` reserves from the same numbers in the same way.
"""

import ipaddress
import socket
import subprocess

NUMBERS = range(16, 200)
# Below the ephemeral ports.
FIRST_PORT = 20000
FIRST_HOST_PORT = 21000
HOST_PORTS = 32


class Reservation:
    """`10.<number>.0.0/16` and the ports that go with it, for as long as this object lives.

    It is held by a socket's name: what is only free when it is looked at may be somebody else's when it is used.
    """

    def __init__(self):
        taken = list(_taken())
        for self.number in NUMBERS:
            self._holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                self._holder.bind(f"\0outport-tests-{self.number}")
                if self._is_free(taken):
                    return
            except OSError:
                pass
            self._holder.close()
        raise AssertionError("no range is left for another Outport")

    def _is_free(self, taken):
        net = ipaddress.ip_network(self.vpc_cidr)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", self.port))
        return not any(net.overlaps(other) for other in taken)

    @property
    def vpc_cidr(self):
        return f"10.{self.number}.0.0/16"

    @property
    def port(self):
        """For the API."""
        return FIRST_PORT + self.number

    def host_port(self, index):
        """For containers."""
        assert index < HOST_PORTS
        return FIRST_HOST_PORT + self.number * HOST_PORTS + index


def _taken():
    """What the host's addresses and routes lead to, but for the default route."""
    for command in (["ip", "-4", "-o", "addr", "show"],
                    ["ip", "-4", "route", "show", "table", "all"]):
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for word in shown.split():
            try:
                net = ipaddress.ip_network(word, strict=False)
            except ValueError:
                continue
            if net.prefixlen:
                yield net
