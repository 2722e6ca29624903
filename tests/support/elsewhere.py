"""Another machine, which a network namespace stands for."""

import subprocess


class Elsewhere:
    """A network namespace and a link to it. `server` is this host's address there, `node` the other end's."""

    def __init__(self, number):
        self.name = f"outport-elsewhere-{number}"
        self.link, self.far_link = f"opte{number}", f"opte{number}n"
        # Of the range for trials between networks, RFC 2544.
        self.server, self.node = f"198.18.{number}.1", f"198.18.{number}.2"

    def make(self):
        ip("netns", "add", self.name)
        ip("link", "add", self.link, "type", "veth", "peer", "name", self.far_link, "netns",
           self.name)
        ip("addr", "add", f"{self.server}/30", "dev", self.link)
        ip("link", "set", self.link, "up")
        ip("-n", self.name, "addr", "add", f"{self.node}/30", "dev", self.far_link)
        for link in (self.far_link, "lo"):
            ip("-n", self.name, "link", "set", link, "up")

    def remove(self):
        subprocess.run(["ip", "link", "del", self.link], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    def within(self, *command):
        """The command as a program of the other host. `ip netns exec` would hide the control groups."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
